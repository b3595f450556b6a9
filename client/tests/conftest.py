"""A scripted server, a scripted object store and a client."""

from collections.abc import AsyncIterator

import pytest

from gostream_client import AsyncClient
from tests.support.fake_server import Api, ApiServer, Store, serve_api, serve_store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with serve_store() as store:
        yield store


@pytest.fixture
async def server(store: Store) -> AsyncIterator[ApiServer]:
    async with serve_api(Api(upload=store.upload())) as server:
        yield server


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, timeout=60) as client:
        yield client
