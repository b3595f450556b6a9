"""The program as operators see it: start, logs, metrics, health, reflection, start failures."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gostream.v1 import (
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)
from gostream.v1.video_service_pb2 import DESCRIPTOR, CreateVideoRequest, TriggerProcessRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.config import METRICS_STEP
from gostream_api.rpc.events.servicer import EventServicer, event_handlers
from gostream_api.rpc.servicer import VideoServicer, method_handlers
from gostream_api.rpc.tracks.servicer import TrackServicer, track_handlers
from gostream_api.rpc.uploads.servicer import UploadServicer, upload_handlers
from gostream_api.rpc.webhooks.servicer import WebhookServicer, webhook_handlers
from gostream_devstack.host.ports import Ports, is_free

SERVICE = "gostream.v1.VideoService"
GIVE_UP = 60


class Program:
    """One `gostream-api` process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.address = f"127.0.0.1:{environment['API_PORT']}"
        self.metrics = f"http://127.0.0.1:{environment['METRICS_PORT']}/metrics"
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gostream_api.app"],
                env={"PATH": os.defpath} | environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def lines_of(self, request_id: str) -> list[dict[str, Any]]:
        """The log line of a call, which follows the response."""
        for _ in range(GIVE_UP * 20):
            if lines := [line for line in self.lines() if line.get("request_id") == request_id]:
                return lines
            time.sleep(0.05)
        return []


@pytest.fixture
def run_api(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """A function that starts the program on free ports; keywords are environment variables."""
    ports, programs = Ports({}), list[Program]()

    def run(**changes: str) -> Program:
        own = {
            "API_PORT": str(ports.pick(f"api-{len(programs)}")),
            "METRICS_PORT": str(ports.pick(f"metrics-{len(programs)}")),
        }
        programs.append(Program(environment | own | changes, tmp_path / f"api-{len(programs)}.log"))
        return programs[-1]

    yield run
    for program in programs:
        program.process.kill()
        program.process.wait(GIVE_UP)


@pytest.fixture
def program(run_api: Callable[..., Program]) -> Iterator[tuple[Program, grpc.Channel]]:
    started = run_api()
    with grpc.insecure_channel(started.address) as channel:
        grpc.channel_ready_future(channel).result(GIVE_UP)
        yield started, channel


def test_process_serves_health_reflection_and_metrics(program: tuple[Program, grpc.Channel]) -> None:
    started, channel = program
    health: Any = health_pb2_grpc.HealthStub(channel)  # its types lack the methods

    for service in (
        "",
        SERVICE,
        "gostream.v1.UploadService",
        "gostream.v1.EventService",
        "gostream.v1.TrackService",
        "gostream.v1.WebhookService",
    ):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=GIVE_UP)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflected = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "gostream.v1.UploadService", "gostream.v1.EventService"} <= set(reflected.get_services())
    assert "CreateVideo" in str(reflected.FindFileContainingSymbol(SERVICE))
    VideoServiceStub(channel).CreateVideo(CreateVideoRequest(title="Holiday", size_bytes=4), timeout=GIVE_UP)
    with urllib.request.urlopen(started.metrics, timeout=GIVE_UP) as page:  # noqa: S310 - our own
        text = page.read().decode()
    assert 'gostream_rpc_handled_total{code="OK",method="/gostream.v1.VideoService/CreateVideo"} 1.0' in text


def test_log_line_names_request_and_video(program: tuple[Program, grpc.Channel]) -> None:
    started, channel = program
    stub = VideoServiceStub(channel)
    video = stub.CreateVideo(CreateVideoRequest(title="Holiday", size_bytes=4), timeout=GIVE_UP).video
    with pytest.raises(grpc.RpcError):
        stub.TriggerProcess(
            TriggerProcessRequest(id=video.id), timeout=GIVE_UP, metadata=(("x-request-id", "r-42"),)
        )

    (line,) = started.lines_of("r-42")

    expected = {
        "event": "rpc",
        "service": "gostream-api",
        "method": "/gostream.v1.VideoService/TriggerProcess",
        "video_id": video.id,
        "code": "FAILED_PRECONDITION",
        "reason": "SOURCE_NOT_UPLOADED",
        "level": "info",
    }
    assert {key: line[key] for key in expected} == expected


def test_sigterm_reports_not_serving_and_exits_0(program: tuple[Program, grpc.Channel]) -> None:
    started, channel = program
    health: Any = health_pb2_grpc.HealthStub(channel)  # its types lack the methods
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=GIVE_UP)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING

    started.process.send_signal(signal.SIGTERM)

    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert started.process.wait(GIVE_UP) == 0
    assert [line["event"] for line in started.lines()][-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("variable", ["API_PORT", "METRICS_PORT"])
def test_taken_port_is_named(
    program: tuple[Program, grpc.Channel], run_api: Callable[..., Program], variable: str
) -> None:
    taken = program[0].address if variable == "API_PORT" else program[0].metrics.split("/")[2]

    second = run_api(**{variable: taken.rpartition(":")[2]})

    assert second.process.wait(GIVE_UP) == 1
    assert f"gostream-api: cannot listen on {taken}" in second.log.read_text()


def test_every_configuration_error_is_reported(run_api: Callable[..., Program]) -> None:
    program = run_api(API_PROCESSES="0", SHUTDOWN_DELAY="soon", QUEUE_LIMIT="0")

    assert program.process.wait(GIVE_UP) == 2
    text = program.log.read_text()
    assert all(name in text for name in ("API_PROCESSES", "SHUTDOWN_DELAY", "QUEUE_LIMIT"))
    assert "SHUTDOWN_DELAY: must be a duration such as 5m, 90s or 1h30m" in text


@pytest.mark.direct_database
def test_refused_password_exits_with_2(run_api: Callable[..., Program], environment: dict[str, str]) -> None:
    url = re.sub(r":[^:@]+@", ":wrong@", environment["DATABASE_URL"])
    alone = run_api(DATABASE_URL=url)
    several = run_api(DATABASE_URL=url, API_PROCESSES="2", METRICS_PORT="0")

    for program in (alone, several):
        assert program.process.wait(GIVE_UP) == 2
        assert "gostream-api: the database refuses this service: 127.0.0.1:" in program.log.read_text()
        assert "Traceback" not in program.log.read_text()


def test_ipv6_wildcard_address_is_served(run_api: Callable[..., Program]) -> None:
    program = run_api(API_HOST="::", METRICS_HOST="::1", AUTH_ALLOW_INSECURE="I-know")

    with grpc.insecure_channel(program.address.replace("127.0.0.1", "[::1]")) as channel:
        grpc.channel_ready_future(channel).result(GIVE_UP)


def test_misspelt_variable_is_named_in_the_log(run_api: Callable[..., Program]) -> None:
    program = run_api(REDIS_PASWORD="x", REDIS_SERVICE_HOST="10.0.0.5")

    eventually_true(lambda: "did you mean REDIS_PASSWORD?" in program.log.read_text())
    assert "REDIS_SERVICE_HOST" not in program.log.read_text()


def test_missing_database_stops_the_start(run_api: Callable[..., Program]) -> None:
    program = run_api(DATABASE_URL="postgresql://ann:hunter2@127.0.0.1:1/none")

    assert program.process.wait(GIVE_UP) == 1
    assert "the database does not answer" in program.log.read_text()
    assert "hunter2" not in program.log.read_text()


def test_every_rpc_of_the_contract_is_served() -> None:
    served = method_handlers(VideoServicer.__new__(VideoServicer))

    assert set(served) == {method.name for method in DESCRIPTOR.services_by_name["VideoService"].methods}
    for method in video_service_pb2.DESCRIPTOR.services_by_name["VideoService"].methods:
        assert bool(served[method.name].response_streaming) is method.server_streaming


def test_every_rpc_of_uploads_is_served() -> None:
    served = upload_handlers(UploadServicer.__new__(UploadServicer))

    methods = upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"].methods
    assert set(served) == {method.name for method in methods}


def test_every_rpc_of_tracks_is_served() -> None:
    served = track_handlers(TrackServicer.__new__(TrackServicer))

    methods = track_service_pb2.DESCRIPTOR.services_by_name["TrackService"].methods
    assert set(served) == {method.name for method in methods}


def test_every_rpc_of_events_is_served() -> None:
    served = event_handlers(EventServicer.__new__(EventServicer))

    methods = event_service_pb2.DESCRIPTOR.services_by_name["EventService"].methods
    assert {name: bool(handler.response_streaming) for name, handler in served.items()} == {
        method.name: method.server_streaming for method in methods
    }


def test_every_rpc_of_webhooks_is_served() -> None:
    served = webhook_handlers(WebhookServicer.__new__(WebhookServicer))

    methods = webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"].methods
    assert set(served) == {method.name for method in methods}


def test_processes_share_the_port_with_separate_metrics(run_api: Callable[..., Program]) -> None:
    first = Ports({}).pick(
        "metrics-shared", usable=lambda port: is_free(port) and is_free(port + METRICS_STEP)
    )
    program = run_api(API_PROCESSES="2", METRICS_PORT=str(first))
    pages = [f"http://127.0.0.1:{first + number}/metrics" for number in (0, METRICS_STEP)]
    eventually_true(lambda: all(is_page(page) for page in pages))
    eventually_true(lambda: len(serving(program)) == 2)  # otherwise the first gets every connection

    # Every channel opens a new connection, and the kernel distributes them.
    for _ in range(40):
        with grpc.insecure_channel(
            program.address, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            health.Check(health_pb2.HealthCheckRequest(), timeout=GIVE_UP, wait_for_ready=True)

    handled = re.compile(
        r'gostream_rpc_handled_total\{code="OK",method="/grpc.health.v1.Health/Check"\} (\d+)'
    )
    counts = [int(found[1]) for page in pages if (found := handled.search(read_page(page)))]
    assert len(counts) == 2
    assert sum(counts) == 40


@pytest.mark.slow
def test_dead_process_is_restarted_and_all_stop_together(run_api: Callable[..., Program]) -> None:
    program = run_api(API_PROCESSES="2", METRICS_PORT="0")
    eventually_true(lambda: len(serving(program)) == 2)
    victim, other = serving(program)

    os.kill(victim, signal.SIGKILL)
    eventually_true(lambda: len(serving(program)) == 2 and victim not in serving(program))
    children = serving(program)
    assert other in children

    program.process.terminate()
    assert program.process.wait(GIVE_UP) == 0
    eventually_true(lambda: not any(map(psutil.pid_exists, children)))


@pytest.mark.slow
def test_processes_end_with_a_killed_supervisor(run_api: Callable[..., Program]) -> None:
    program = run_api(API_PROCESSES="2", METRICS_PORT="0")
    eventually_true(lambda: len(serving(program)) == 2)
    children = serving(program)

    program.process.kill()
    program.process.wait(GIVE_UP)

    eventually_true(lambda: not any(map(psutil.pid_exists, children)))


@pytest.mark.slow
def test_port_is_not_shared_with_other_programs(run_api: Callable[..., Program]) -> None:
    reads = Ports({}).pick("reads")
    first = run_api(API_PROCESSES="2", METRICS_PORT="0", READ_PORT=str(reads))
    eventually_true(lambda: len(serving(first)) == 2)
    port = first.address.rpartition(":")[2]
    assert all(listens(psutil.Process(pid), reads) for pid in serving(first))

    second = run_api(API_PROCESSES="2", METRICS_PORT="0", API_PORT=port)
    third = run_api(METRICS_PORT="0", API_PORT=port)
    fourth = run_api(METRICS_PORT="0", READ_PORT=str(reads))

    for program in (second, third, fourth):
        assert program.process.wait(GIVE_UP) == 1
        assert "is the port in use?" in program.log.read_text()


def serving(program: Program) -> list[int]:
    """Child processes of the program that listen on its port."""
    port = int(program.address.rpartition(":")[2])
    return [child.pid for child in psutil.Process(program.process.pid).children() if listens(child, port)]


def listens(child: psutil.Process, port: int) -> bool:
    try:
        return any(each.status == "LISTEN" and each.laddr.port == port for each in child.net_connections())
    except psutil.Error:  # the process has just ended or is starting
        return False


def is_page(url: str) -> bool:
    try:
        return bool(read_page(url))
    except OSError:
        return False


def read_page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=GIVE_UP) as page:  # noqa: S310 - our own
        return str(page.read().decode())


def eventually_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
