"""Traces on and off, and a collector that does not answer."""

import logging
import os
import subprocess
import sys
from contextvars import copy_context
from time import monotonic

import pytest
import structlog
from opentelemetry.sdk.trace.sampling import Decision

from gostream_shared.config import Config, ConfigError, load
from gostream_shared.config_names import doubtful
from gostream_shared.observability.tracing import spans
from gostream_shared.observability.tracing.sampling import HeadSampling, Sampling
from gostream_shared.observability.tracing.start import FLUSH_TIMEOUT, open_tracing
from tests.support.servers.otlp import collecting, recording

REQUIRED = {"DATABASE_URL": "postgresql://u:a-long-password-of-24@127.0.0.1:1/x"}
#: Imports a service whole, and its parts that are imported late, opens its traces and lists the modules.
_LOADED = """
import asyncio, importlib, sys
importlib.import_module(sys.argv[1])
import gostream_shared.storage.s3_start
from gostream_shared.config import Config, load
from gostream_shared.observability.tracing.start import open_tracing
async def main():
    async with open_tracing(load(Config), "x"):
        print(*sorted(name for name in sys.modules if name.startswith("opentelemetry")))
asyncio.run(main())
"""
TRACE = "0af7651916cd43dd8448eb211c80319c"


def loaded(service: str, **settings: str) -> list[str]:
    environment = {"PATH": os.defpath} | REQUIRED | settings
    command = [sys.executable, "-c", _LOADED, service]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300)
    return done.stdout.split()


@pytest.mark.parametrize("service", ["gostream_api.app", "gostream_worker.app"])
def test_nothing_is_imported_without_a_collector(service: str) -> None:
    assert loaded(service) == []


def test_nothing_is_imported_when_disabled() -> None:
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    assert loaded("gostream_api.app", **on, OTEL_SDK_DISABLED="true") == []
    assert "opentelemetry.sdk.trace" in loaded("gostream_api.app", **on)


async def test_spans_arrive_before_the_end() -> None:
    with collecting() as collector:
        config = load(Config, REQUIRED | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
        async with open_tracing(config, "gostream-test"):
            tracer = spans.calls("/a.B/C", "grpc")
            assert tracer is not None
            tracer.hit(None)

        (seen,) = collector.seen
    assert (seen.service, seen.name) == ("gostream-test", "a.B/C")
    assert spans.calls("/a.B/C", "grpc") is None


async def test_names_of_the_standard_describe_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    with collecting() as collector:
        config = load(Config, REQUIRED | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
        async with open_tracing(config, "gostream-test"):
            spans.calls("/a.B/C", "grpc").hit(None)  # type: ignore[union-attr]

    assert collector.seen[0].service == "mine"


@pytest.mark.slow
async def test_dead_collector_delays_nothing(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    config = load(Config, REQUIRED | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    async with open_tracing(config, "gostream-test"):
        tracer = spans.calls("/a.B/C", "grpc")
        assert tracer is not None
        for _ in range(5000):  # more than the queue holds
            tracer.hit(None)
        began = monotonic()

    assert monotonic() - began < 10 * FLUSH_TIMEOUT  # its own retries last longer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"OTEL_TRACES_SAMPLER": "xray"}, "OTEL_TRACES_SAMPLER: must be always_on"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG: must be between 0.0 and 1.0"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "OTEL_EXPORTER_OTLP_PROTOCOL: must be grpc"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(Config, REQUIRED | settings)


def test_other_names_of_opentelemetry_are_accepted() -> None:
    assert doubtful({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}) == []


@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("name", ["always_on", "always_off", "traceidratio"])
@pytest.mark.parametrize("prefix", ["", "parentbased_"])
def test_hits_are_sampled_as_misses(prefix: str, name: str, flags: str) -> None:
    from opentelemetry.trace import get_current_span

    from gostream_shared.observability.tracing.carrier import parent_context

    for trace in (f"{1:032x}", "f" * 32, TRACE):
        parent = f"00-{trace}-b7ad6b7169203331-{flags}"
        context = parent_context(parent)
        assert get_current_span(context).get_span_context().is_valid
        sampling = Sampling(prefix + name, 0.5)
        usual = sampling.sampler().should_sample(context, int(trace, 16), "x").decision

        assert HeadSampling(sampling).admits(parent) is (usual is Decision.RECORD_AND_SAMPLE)


def test_share_of_new_traces_is_the_ratio() -> None:
    head = HeadSampling(Sampling("parentbased_traceidratio", 0.1))

    assert 700 < sum(head.admits(None) for _ in range(10_000)) < 1300


def test_errors_are_recorded_without_their_messages() -> None:
    def call_that_fails() -> None:
        tracer = spans.calls("/a.B/C", "grpc")
        assert tracer is not None
        tracer.begin(None)
        with pytest.raises(ValueError, match="secret"), spans.span("step", a__b=1):
            raise ValueError("secret")
        tracer.end("OK", 0.1, None)

    with recording() as exporter:
        copy_context().run(call_that_fails)  # a span stays in its context, which later tests would inherit

    step, call = exporter.get_finished_spans()
    assert step.attributes == {"a.b": 1, "error.type": "ValueError"}
    assert step.parent is not None
    assert step.parent.span_id == call.context.span_id
    assert "secret" not in step.to_json()


def test_steps_outside_of_a_trace_are_not_recorded() -> None:
    with recording() as exporter, spans.span("chore"), spans.request("redis info"):
        spans.annotate(a="b")
        assert structlog.get_logger() is not None

    assert exporter.get_finished_spans() == ()
