"""One API replica of the shared stack, with both of its ports."""

from collections.abc import Iterator

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.api import Api

#: Variables of the API under test; the tests of both doors run once with each set.
MODES: dict[str, dict[str, str]] = {"usual": {}}


@pytest.fixture(scope="module", params=MODES)
def api(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    home, ports = Directories.at(tmp_path_factory.mktemp("api")), Ports({})
    port, metrics_port, read_port = (ports.pick(name) for name in ("api", "metrics", "reads"))
    settings = {**stack.apis[0].settings, **MODES[request.param]}
    replica = Api(home, "api", port, metrics_port, settings, read_port)
    try:
        replica.start()
        yield replica
    finally:
        replica.stop()
        home.remove()
