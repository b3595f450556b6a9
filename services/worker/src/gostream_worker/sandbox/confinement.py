"""The access rights of one child, and their enforcement in that child.

Imported by the launcher, so it uses only the standard library.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass, field

from gostream_worker.sandbox import landlock, seccomp

#: Paths that every program reads to start and to count its processors.
_USUAL = (
    "/dev/null", "/dev/urandom", "/etc/ld.so.cache", "/proc/cpuinfo", "/proc/meminfo", "/proc/self",
    "/sys/devices/system/cpu", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib",
)  # fmt: skip
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")


class SandboxMissingError(Exception):
    """The kernel lacks a feature that the sandbox requires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """Paths that a child may read, run and write below, and the loopback port that it may connect to.

    `required`: fail if the kernel lacks Landlock or seccomp. `layers`: the layers to enforce.
    """

    read: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    port: int | None = None
    required: bool = False
    layers: tuple[str, ...] = field(default=("landlock", "seccomp"))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Confinement":
        values = json.loads(text)
        for name in ("read", "run", "write", "layers"):
            values[name] = tuple(values[name])
        confinement: Confinement = cls(**values)
        return confinement

    def enter(self) -> None:
        """Confines this process and its descendants permanently. Raises SandboxMissingError and OSError."""
        if self.required and (not landlock.abi() or not seccomp.is_supported()):
            raise SandboxMissingError("the kernel has no Landlock or no seccomp filters")
        if "landlock" in self.layers:
            rights = [(path, landlock.READ) for path in (*_USUAL, *self.read)]
            rights += [(path, landlock.RUN) for path in (*_LOADERS, *self.run)]
            rights += [(path, landlock.WRITE) for path in (*self.write, "/dev/null")]
            landlock.restrict([(os.path.realpath(path), right) for path, right in rights], port=self.port)
        if "seccomp" in self.layers:
            seccomp.restrict(may_connect=self.port is not None)


def interpreter_paths() -> tuple[str, ...]:
    """Returns the paths from which this interpreter and the program's packages are read."""
    return tuple(sorted({sys.prefix, sys.base_prefix, *filter(os.path.isdir, sys.path)}))
