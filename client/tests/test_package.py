"""What other teams install: few packages, quick imports, types."""

import re
from importlib.metadata import requires
from importlib.resources import files

from packaging.requirements import Requirement

from tests.architecture.test_imports import imported_by

#: Packages beyond grpcio and protobuf.
MOST = 8


def needed(distribution: str, found: set[str]) -> set[str]:
    """Adds the names of all packages that a distribution needs."""
    for line in requires(distribution) or ():
        requirement = Requirement(line)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and name not in found:
            found.add(name)
            needed(name, found)
    return found


def test_client_needs_few_packages() -> None:
    packages = needed("gostream-client", set()) - {"grpcio", "protobuf"}

    assert packages == {"gostream-protos", "googleapis-common-protos", "h11", "typing-extensions"}
    assert len(packages) <= MOST


def test_clients_import_no_http_library() -> None:
    imported = imported_by("import gostream_client; gostream_client.Client, gostream_client.AsyncClient")

    assert {"grpc", "gostream_client.sync", "gostream_client.aio"} <= imported
    assert {"h11", "aiohttp", "rich", "typer", "gostream_shared"} & imported == set()


def test_wheel_has_types_and_service_config() -> None:
    names = {each.name for each in files("gostream_client").iterdir()}

    assert {"py.typed", "service_config.json"} <= names
