"""READ_PORT: off by default, checked at the start, and part of the API's start and stop."""

import socket
from typing import Any

import pytest

from gostream_api.config import ApiConfig
from gostream_shared.config import ConfigError, load
from gostream_shared.listening import CannotListenError

REQUIRED = {"DATABASE_URL": "postgresql://app@localhost/app"}


def test_read_port_is_off_by_default() -> None:
    assert load(ApiConfig, REQUIRED).read_port == 0


def test_short_path_is_on_by_default() -> None:
    assert load(ApiConfig, REQUIRED).read_door_short == "on"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"READ_DOOR_SHORT": "maybe"}, "READ_DOOR_SHORT"),
        ({"READ_PORT": "65536"}, "65535"),
        ({"READ_PORT": "50051"}, "must differ from API_PORT"),
        ({"READ_PORT": "9101"}, "on READ_PORT; change METRICS_PORT"),
        ({"READ_PORT": "9121", "API_PROCESSES": "3"}, "on READ_PORT; change METRICS_PORT"),
    ],
)
def test_conflicting_read_ports_are_refused(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(ApiConfig, REQUIRED | changes)


async def test_taken_read_port_stops_the_start(start_api: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CannotListenError, match=str(port)):
            await start_api(READ_PORT=str(port))
