"""Certificates of the servers of sources."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gostream_shared.egress.guard import EgressGuard
from services.worker.tests.ingest.conftest import Fetcher
from services.worker.tests.ingest.source_server import SourceServer, serving
from tests.support.certificates import Files

pytestmark = pytest.mark.stack
BODY = b"film" * 1000


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "tls")


@pytest.fixture
async def url(files: Files, fetcher: Fetcher) -> AsyncIterator[str]:
    """Of a server with a certificate of an authority that no one knows."""
    fetcher.guard = EgressGuard.of("127.0.0.1/32", allows_http=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    async with serving(SourceServer(BODY), tls=context) as server:
        yield server.url.replace("http://", "https://")


async def test_unknown_certificate_is_refused(fetcher: Fetcher, url: str) -> None:
    failure = await fetcher.failure(url)

    assert failure.message == "The certificate of the source's server is not valid."
    assert (failure.code, failure.retryable) == ("SOURCE_UNREACHABLE", False)


async def test_known_certificate_is_accepted(
    fetcher: Fetcher, url: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", files.client_context())

    video = await fetcher.fetch(url)

    assert await fetcher.stored(video.id) == BODY


async def test_plain_http_is_refused_without_the_switch(fetcher: Fetcher, url: str) -> None:
    failure = await fetcher.failure(url.replace("https://", "http://"))

    assert failure.code == "SOURCE_URL_REFUSED"
