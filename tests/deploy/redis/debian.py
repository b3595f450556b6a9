"""Debian's Redis with TLS, and HAProxy, unpacked without root: `python -m tests.deploy.redis.debian`."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.servers.server import Server
from gostream_devstack.servers.valkey import Valkey
from gostream_devstack.tls.certificates import Certificates

FOLDER = REPOSITORY / ".tools" / "redis"
_PACKAGES = (
    *("redis-tools", "redis-server", "liblzf1", "libjemalloc2"),
    *("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-posix3"),
)
_LIBRARIES = FOLDER / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
REDIS, HAPROXY = FOLDER / "usr/bin/redis-server", FOLDER / "usr/sbin/haproxy"
_TIMEOUT = 300


def fetch() -> bool:
    """Unpacks the packages into FOLDER. Returns False if they cannot be fetched."""
    if runs(REDIS) and runs(HAPROXY, "-v"):
        return True
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES]
        if subprocess.run(command, cwd=folder, check=False, timeout=_TIMEOUT).returncode:
            return False
        FOLDER.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(file), str(FOLDER)], check=True, timeout=_TIMEOUT)
    return runs(REDIS) and runs(HAPROXY, "-v")


def runs(program: Path, option: str = "--version") -> bool:
    """Whether a program is there and finds its libraries."""
    if not program.exists():
        return False
    return (
        subprocess.run(
            [str(program), option], env=environment(), check=False, capture_output=True, timeout=60
        ).returncode
        == 0
    )


def environment() -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(_LIBRARIES)}


class TlsRedis(Valkey):
    """Debian's Redis: `port` speaks TLS, `plain` does not and is for the test."""

    def __init__(
        self,
        directories: Directories,
        ports: tuple[int, int],
        certificates: Certificates,
        name: str,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.plain = ports[1]
        files = {
            "tls-cert-file": str(certificates.certificate),
            "tls-key-file": str(certificates.key),
            "tls-ca-cert-file": str(certificates.authority),
            "tls-auth-clients": "no",
            "tls-port": str(ports[0]),
            "port": str(self.plain),
            "bind": "127.0.0.1 127.0.0.2",
        }
        super().__init__(directories, ports[0], "replicated", files | dict(options or {}), name)

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **environment()}

    def command(self) -> Sequence[str]:
        return [str(REDIS), str(self.directory / "valkey.conf")]

    def execute(self, *words: str, timeout: float = 2.0) -> bytes:
        secured, self.port = self.port, self.plain
        try:
            return super().execute(*words, timeout=timeout)
        finally:
            self.port = secured


class TlsSentinel(TlsRedis):
    """One sentinel, which connects to `primary` by TLS and shares its password."""

    def watch(self, primary: TlsRedis) -> None:
        """Call it before the start."""
        self.options |= {
            "tls-replication": "yes",
            "sentinel monitor gostream": f"{primary.host} {primary.port} 1",
            "sentinel auth-pass gostream": primary.password,
        }

    def prepare(self) -> None:
        wanted = ("tls-", "port", "bind", "sentinel ")
        settings = {"dir": str(self.directory), "requirepass": self.password}
        settings |= {key: value for key, value in self.options.items() if key.startswith(wanted)}
        lines = "".join(f"{key} {value}\n" for key, value in settings.items())
        self.directories.write(self.directory / "valkey.conf", lines)

    def command(self) -> Sequence[str]:
        return [*super().command(), "--sentinel"]

    def ready(self) -> bool:
        return True  # the supervisor also waits until the port listens


class HaProxy(Server):
    """HAProxy with a configuration that has `bind` with this server's port."""

    def __init__(self, directories: Directories, port: int, configuration: str, name: str) -> None:
        super().__init__(directories, name, port)
        self._configuration = configuration

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **environment()}

    def prepare(self) -> None:
        self.directories.write(self.directory / "haproxy.cfg", self._configuration)

    def command(self) -> Sequence[str]:
        return [str(HAPROXY), "-db", "-f", str(self.directory / "haproxy.cfg")]

    def ready(self) -> bool:
        return True  # the supervisor also waits until the port listens


if __name__ == "__main__":
    sys.exit(not fetch())
