"""A fetch connects only to the hosts that the egress guard admits, also after redirects."""

from collections.abc import Awaitable, Callable

import pytest

from gostream_shared.egress.guard import EgressGuard
from services.worker.tests.ingest.conftest import Fetcher
from services.worker.tests.ingest.source_server import SourceServer, serving

pytestmark = pytest.mark.stack
Serve = Callable[..., Awaitable[SourceServer]]
BODY = b"film" * 1000
REFUSED = "The URL of the source redirects to a URL that this service does not use."


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "//127.0.0.2:{port}/",
        "http://0.0.0.0:{port}/",
        "http://127.2:{port}/",
        "http://2130706434:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://user:word@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://[",
        "http://127.0.0.1\\@127.0.0.2:{port}/",
    ],
)
async def test_redirect_into_the_network_is_refused(fetcher: Fetcher, serve: Serve, location: str) -> None:
    """The first host is allowed; nothing else is."""
    async with serving(SourceServer(b"internal"), "127.0.0.2") as internal:
        server = await serve(BODY, redirects=[location.format(port=internal.port)])

        failure = await fetcher.failure(server.url)

    assert internal.requests == []
    assert len(server.requests) == 1
    assert (failure.code, failure.message, failure.retryable) == ("SOURCE_URL_REFUSED", REFUSED, False)


async def test_some_redirects_are_followed(fetcher: Fetcher, serve: Serve) -> None:
    async with serving(SourceServer(BODY)) as other:
        server = await serve(b"", redirects=["/next", "?a=b", f"{other.url}#part", "never used"])

        video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == BODY
    assert len(server.requests) == 3


async def test_endless_redirects_are_refused(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(BODY, redirects=["/again"] * 99)

    failure = await fetcher.failure(server.url)

    assert failure.message == "The URL of the source redirects more than 5 times."
    assert len(server.requests) == 6


async def test_resumption_passes_the_guard_again(
    fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection of a fetch is redirected into the network."""
    async with serving(SourceServer(b"internal"), "127.0.0.2") as internal:
        server = await serve(BODY, cuts=[10])
        answer = server._answer

        async def first_the_body(*arguments: object) -> None:
            await answer(*arguments)  # type: ignore[arg-type]
            server.redirects.append(f"http://127.0.0.2:{internal.port}/")

        monkeypatch.setattr(server, "_answer", first_the_body)
        failure = await fetcher.failure(server.url)

    assert failure.code == "SOURCE_URL_REFUSED"
    assert internal.requests == []


async def test_loopback_needs_the_allowed_networks(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(BODY)
    fetcher.guard = EgressGuard(allows_http=True)

    failure = await fetcher.failure(server.url.replace(f":{server.port}", ""))

    assert failure.code == "SOURCE_URL_REFUSED"
    assert server.requests == []


async def test_internal_name_looks_like_none(fetcher: Fetcher, serve: Serve) -> None:
    """Otherwise callers could list the names of the internal network."""
    server = await serve(BODY)
    fetcher.guard = EgressGuard.of("10.0.0.0/8", allows_http=True)

    internal = await fetcher.failure(f"http://localhost:{server.port}/")
    nowhere = await fetcher.failure(f"http://nowhere.invalid:{server.port}/")

    assert internal == nowhere
    assert (internal.code, internal.retryable) == ("SOURCE_UNREACHABLE", True)
    assert server.requests == []


async def test_proxies_of_the_environment_are_ignored(
    fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(BODY)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == BODY
