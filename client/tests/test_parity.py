"""One table: both clients, the contract, the service config and the exceptions agree with it."""

import inspect
import json
import pickle
from importlib.resources import files
from typing import Any

import pytest

import gostream_client
from gostream.v1 import (
    admin_service_pb2,
    error_reason_pb2,
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)
from gostream_client import AsyncClient, Client, GoStreamError, errors
from gostream_client.rpc_errors import BY_REASON
from gostream_client.table import TABLE, Kind

SERVICES = (
    video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
    upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],
    event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
    track_service_pb2.DESCRIPTOR.services_by_name["TrackService"],
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
)
REASONS = {name.removeprefix("ERROR_REASON_") for name, _ in error_reason_pb2.ErrorReason.items()}
EXCEPTIONS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GoStreamError)
]


def methods(kind: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and value.__module__.startswith("gostream_client")
    }


def test_both_clients_have_the_same_methods() -> None:
    assert set(methods(Client)) == set(methods(AsyncClient))
    assert len(methods(Client)) >= 17


@pytest.mark.parametrize("name", sorted({*methods(Client), "__init__"}))
def test_signatures_of_both_clients_are_equal(name: str) -> None:
    blocking, asynchronous = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))

    assert list(blocking.parameters.values()) == list(asynchronous.parameters.values())
    if not any(word in str(blocking.return_annotation) for word in ("Iterator", "Generator")):
        assert blocking.return_annotation == asynchronous.return_annotation


@pytest.mark.parametrize("name", sorted(methods(Client)))
def test_methods_are_documented_under_their_names(name: str) -> None:
    for kind in (Client, AsyncClient):
        method = getattr(kind, name)
        assert method.__doc__
        assert method.__name__ == name


def test_asynchronous_answers_are_awaited() -> None:
    streams = {"watch", "watch_events", "list_videos"}
    for name, method in methods(AsyncClient).items():
        assert inspect.isasyncgenfunction(method) == (name in streams), name
        assert inspect.iscoroutinefunction(method) == (name not in streams), name
        assert not inspect.iscoroutinefunction(getattr(Client, name)), name


def test_table_lists_every_rpc() -> None:
    rpcs = {f"/{service.full_name}/{rpc.name}": rpc for service in SERVICES for rpc in service.methods}

    assert {method.path for method in TABLE} == set(rpcs)
    for method in TABLE:
        is_stream = rpcs[method.path].server_streaming
        assert is_stream == (method.kind is Kind.STREAM) == (method.deadline is None)


def test_only_safe_methods_are_repeated() -> None:
    config = json.loads(files("gostream_client").joinpath("service_config.json").read_text())
    names = [name for entry in config["methodConfig"] for name in entry["name"]]

    def is_listed(path: str) -> bool:
        _, service, method = path.split("/")
        return {"service": service, "method": method} in names or {"service": service} in names

    assert {m.path for m in TABLE if is_listed(m.path)} == {m.path for m in TABLE if m.is_repeated}
    for method in TABLE:
        has_request_id = "request_id" in method.request.DESCRIPTOR.fields_by_name
        assert (method.kind is Kind.WRITE_ONCE) == has_request_id, method.path


def test_service_config_sets_no_timeout() -> None:
    assert '"timeout"' not in files("gostream_client").joinpath("service_config.json").read_text()


def test_each_reason_has_an_exception() -> None:
    assert set(BY_REASON) == REASONS - {"UNSPECIFIED"}
    for reason, kind in BY_REASON.items():
        assert kind.__name__ == reason.title().replace("_", "") + "Error"
        assert kind in {getattr(gostream_client, name) for name in gostream_client.__all__}


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_exceptions_survive_pickling(kind: type[GoStreamError]) -> None:
    error = kind("message", reason="R", request_id="r", retry_after=1.5, metadata={"video_id": "v"})

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert (str(copy), copy.video_id) == ("message (R, request id r)", "v")


def test_public_names_exist() -> None:
    assert [name for name in gostream_client.__all__ if not hasattr(gostream_client, name)] == []
    with pytest.raises(AttributeError):
        gostream_client.connect  # type: ignore[attr-defined]  # noqa: B018
