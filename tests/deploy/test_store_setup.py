"""Compose's object store: its start script, its setup and the check of its secrets."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.wheels import script
from gostream_devstack.servers.server import Server

ROOT = Path(__file__).parents[2]
KEYS = {
    "S3_ADMIN_ACCESS_KEY": "gostream-admin",
    "S3_ADMIN_SECRET_KEY": 'a secret with "quotes" and \\',
    "S3_ACCESS_KEY": "gostream",
    "S3_SECRET_KEY": "gostream-secret",
    "S3_WORKER_ACCESS_KEY": "gostream-worker",
    "S3_WORKER_SECRET_KEY": "gostream-worker-secret",
}
ROLES = ("master", "volume", "filer")


class Store(Server):
    """SeaweedFS as Compose starts it, on other ports and with the program of the wheel."""

    def __init__(self, directories: Directories, ports: Ports) -> None:
        super().__init__(directories, "compose-store", ports.pick("compose-store"))
        self._ports = {role: (ports.pick(role), ports.pick(f"{role}-grpc")) for role in ROLES}
        self.s3_grpc = ports.pick("s3-grpc")

    def environment(self) -> Mapping[str, str]:
        path = f"{script('weed').parent}:{os.defpath}"
        data = {"SEAWEEDFS_DATA": str(self.directory / "data"), "TMPDIR": str(self.directory)}
        return {**super().environment(), **KEYS, **data, "PATH": path}

    def prepare(self) -> None:
        self.directories.make(self.directory / "data")

    def command(self) -> Sequence[str]:
        ports = [f"-{role}.port={http}" for role, (http, _) in self._ports.items()]
        ports += [f"-{role}.port.grpc={grpc}" for role, (_, grpc) in self._ports.items()]
        own = [f"-s3.port={self.port}", f"-s3.port.grpc={self.s3_grpc}", "-volume.preStopSeconds=0"]
        return ["/bin/sh", str(ROOT / "deploy/s3/seaweedfs.sh"), *ports, *own]

    def ready(self) -> bool:
        return request(self.port, "GET", "/healthz")[0] == 200

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def set_up(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """Runs setup.py as Compose does."""
        variables = {**KEYS, "S3_ENDPOINT_URL": self.url, "EDGE_ORIGIN_SECRET": "gostream-edge", **changes}
        return subprocess.run(
            [sys.executable, str(ROOT / "deploy/s3/setup.py")],
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def key(self, role: str) -> "Key":
        """Returns the key of "", "WORKER_" or "ADMIN_"."""
        return Key(self.url, KEYS[f"S3_{role}ACCESS_KEY"], KEYS[f"S3_{role}SECRET_KEY"])


class Key:
    """What a key may do."""

    def __init__(self, url: str, access: str, secret: str) -> None:
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        self._s3 = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=config,
        )

    def puts(self, key: str) -> bool:
        try:
            self._s3.put_object(Bucket="videos", Key=key, Body=b"x")
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = Directories.at(tmp_path_factory.mktemp("store"))
    server = Store(home, Ports({}))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        home.remove()


@pytest.mark.stack
def test_setup_can_be_repeated(store: Store) -> None:
    for _ in range(2):
        done = store.set_up()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "the bucket videos is ready\n"


@pytest.mark.stack
def test_each_service_writes_only_its_own_objects(store: Store) -> None:
    assert store.set_up().returncode == 0
    written = {
        role: [
            key
            for key in ("uploads/a", "hls/a/b.ts", "gate/a/public", "other/a")
            if store.key(role).puts(key)
        ]
        for role in ("", "WORKER_", "ADMIN_")
    }
    assert written == {
        "": ["uploads/a", "gate/a/public"],
        "WORKER_": ["uploads/a", "hls/a/b.ts", "gate/a/public"],
        "ADMIN_": ["uploads/a", "hls/a/b.ts", "gate/a/public", "other/a"],
    }


@pytest.mark.stack
def test_only_the_edge_reads_streams(store: Store) -> None:
    assert store.set_up(EDGE_ORIGIN_SECRET="a-secret").returncode == 0
    for key in ("uploads/a", "hls/a/b.ts"):
        assert store.key("ADMIN_").puts(key)

    def status(key: str, referer: str) -> int:
        return request(store.port, "GET", f"/videos/{key}", headers={"Referer": referer})[0]

    assert [status("hls/a/b.ts", referer) for referer in ("a-secret", "gostream-edge", "")] == [200, 403, 403]
    assert status("uploads/a", "a-secret") == 403


@pytest.mark.stack
def test_wrong_admin_key_ends_the_setup(store: Store) -> None:
    done = store.set_up(S3_ADMIN_SECRET_KEY="wrong-secret")

    assert done.returncode == 1
    assert done.stderr.startswith("the object store is not ready: ")
    assert "Traceback" not in done.stderr


@pytest.mark.stack
def test_only_s3_listens_for_others(store: Store) -> None:
    """The other roles trust anyone who reaches them."""
    process = psutil.Process(store.pid)
    processes = [process, *process.children(recursive=True)]
    found = [
        each.laddr for one in processes for each in one.net_connections("inet") if each.status == "LISTEN"
    ]
    open_to_all = {address.port for address in found if address.ip not in ("127.0.0.1", "::1")}

    assert store.port in open_to_all
    assert open_to_all <= {store.port, store.s3_grpc}


@pytest.mark.parametrize("secret", ["", "a b", 'a"b', "a;b"])
def test_unusable_edge_secret_is_refused(secret: str) -> None:
    assert check(EDGE_ORIGIN_SECRET=secret).stderr.startswith("EDGE_ORIGIN_SECRET: ")


DEFAULTS = {
    "GOSTREAM_BIND": "127.0.0.1",
    "POSTGRES_PASSWORD": "gostream",
    "REDIS_PASSWORD": "gostream",
    "S3_ADMIN_SECRET_KEY": "gostream-admin",
    "S3_SECRET_KEY": "gostream-secret",
    "S3_WORKER_SECRET_KEY": "gostream-worker-secret",
    "CDN_REFRESH_SECRET": "gostream-refresh",
    "EDGE_ORIGIN_SECRET": "gostream-edge",
    "AUTH_MODE": "none",
}
STRONG = {name: "0123456789abcdef" for name in DEFAULTS if name not in ("GOSTREAM_BIND", "AUTH_MODE")}
SAFE = {**STRONG, "AUTH_MODE": "jwt"}


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    """Runs check.sh as Compose does."""
    command = ["sh", str(ROOT / "deploy/docker/check.sh")]
    return subprocess.run(
        command, env={**DEFAULTS, **changes}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_default_secrets_are_accepted_on_loopback(address: str) -> None:
    assert check(GOSTREAM_BIND=address).returncode == 0


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.1", ""])  # noqa: S104 - what is refused
def test_default_secrets_are_refused_beyond_loopback(address: str) -> None:
    done = check(GOSTREAM_BIND=address)

    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stderr.splitlines()} == {*STRONG, "AUTH_MODE"}


@pytest.mark.parametrize("name", sorted(STRONG))
def test_single_weak_secret_is_refused(name: str) -> None:
    assert check(GOSTREAM_BIND="192.0.2.1", **SAFE).returncode == 0
    done = check(GOSTREAM_BIND="192.0.2.1", **{**SAFE, name: "0123456789abcde"})

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [name]


def test_open_api_is_refused_beyond_loopback() -> None:
    done = check(GOSTREAM_BIND="192.0.2.1", **{**SAFE, "AUTH_MODE": "none"})

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["AUTH_MODE"]


@pytest.mark.parametrize("password", ["a/b", "a@b", "a:b", "a b", "a%b"])
def test_password_unsafe_in_a_url_is_refused(password: str) -> None:
    done = check(POSTGRES_PASSWORD=password)

    assert done.returncode == 1
    assert done.stderr.startswith("POSTGRES_PASSWORD: ")
