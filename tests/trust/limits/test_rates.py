"""How often an owner may call: counted in Redis for all replicas, or by each process alone."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from prometheus_client import REGISTRY

from gostream.v1 import video_pb2
from gostream.v1 import video_service_pb2 as messages
from gostream_api.app import _rated
from gostream_api.config import ApiConfig
from gostream_api.principal import ANONYMOUS, Principal
from gostream_api.rates.reads import RatedReads, ReadRate
from gostream_api.rates.writes import WriteRates
from gostream_devstack.fixtures import RedisSettings
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import RateLimitedError
from tests.support.tcp_proxy import Proxy
from tests.trust.conftest import Api, Metadata, StartApi, bearer, caller, outcome
from tests.trust.tokens import signed

LIMITED = "RESOURCE_EXHAUSTED RATE_LIMITED"


@pytest.fixture
def alice() -> Metadata:
    return caller("alice", "read", "write")


@pytest.fixture
def bob() -> Metadata:
    return caller("bob", "read", "write")


@pytest.fixture
def busy_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a Redis that a busy machine delays: these tests are about its counters."""
    monkeypatch.setattr("gostream_api.rates.writes.SOFT_TIMEOUT", 60.0)


def create(api: Api, who: Metadata) -> Any:
    request = messages.CreateVideoRequest(title="Holiday", size_bytes=4)
    return api.stub.CreateVideo(request, metadata=who, timeout=120)


async def endings(calls: list[Any]) -> Counter[str]:
    return Counter(str(end) for end in await asyncio.gather(*map(outcome, calls)))


def degraded() -> float | None:
    return REGISTRY.get_sample_value("gostream_ratelimit_degraded")


@pytest.mark.usefixtures("busy_redis")
async def test_replicas_count_creates_of_an_owner_together(
    start_api: StartApi, alice: Metadata, bob: Metadata
) -> None:
    replicas = [await start_api(RATE_CREATES="4") for _ in range(2)]

    assert await endings([create(replicas[n % 2], alice) for n in range(12)]) == {"OK": 4, LIMITED: 8}
    assert await endings([create(replicas[n % 2], bob) for n in range(5)]) == {"OK": 4, LIMITED: 1}
    assert degraded() == 0


@pytest.mark.usefixtures("busy_redis")
async def test_refusal_tells_when_to_retry(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(RATE_CREATES="1")
    await create(api, alice)

    with pytest.raises(aio.AioRpcError) as caught:
        await create(api, alice)

    trailers = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert [status.details[0].Unpack(info), status.details[1].Unpack(retry)] == [True, True]
    assert info.reason == "RATE_LIMITED"
    assert 1000 < retry.retry_delay.ToMilliseconds() <= 3_600_000 * 1.25
    assert trailers["grpc-retry-pushback-ms"] == str(retry.retry_delay.ToMilliseconds())


async def test_every_write_counts_and_reads_do_not(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(RATE_WRITES="1")
    video_id = (await create(api, alice)).video.id
    off = video_pb2.Video(id=video_id, playback_policy=video_pb2.PLAYBACK_POLICY_OFF)
    writes = {
        "UpdateVideo": messages.UpdateVideoRequest(video=off),
        "RevokePlayback": messages.RevokePlaybackRequest(id=video_id),
        "TriggerProcess": messages.TriggerProcessRequest(id=video_id),
        "CancelProcess": messages.CancelProcessRequest(id=video_id),
        "DeleteVideo": messages.DeleteVideoRequest(id=str(uuid4())),
    }
    for name, request in writes.items():
        method = getattr(api.stub, name)
        ends = await endings([method(request, metadata=alice, timeout=120) for _ in range(20)])
        assert ends[LIMITED], name

    read = messages.GetVideoRequest(id=video_id)
    ends = await endings([api.stub.GetVideo(read, metadata=alice, timeout=120) for _ in range(20)])
    assert ends == {"OK": 20}


@pytest.mark.usefixtures("busy_redis")
async def test_calls_for_an_owner_count_for_that_owner(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(RATE_CREATES="2")
    service = bearer(signed(sub="backend", scope="videos:write videos:act-as"))
    for_alice = (*service, ("x-gostream-subject", "corp:alice"))

    assert await endings([create(api, for_alice) for _ in range(3)]) == {"OK": 2, LIMITED: 1}
    assert str(await outcome(create(api, alice))) == LIMITED
    await create(api, service)


async def test_without_redis_each_process_counts(start_api: StartApi, alice: Metadata) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # without a listener
        api = await start_api(RATE_CREATES="4", REDIS_PORT=str(closed.getsockname()[1]))

        assert await endings([create(api, alice) for _ in range(9)]) == {"OK": 4, LIMITED: 5}
        assert degraded() == 1


@pytest.fixture
async def proxy(redis_settings: RedisSettings) -> AsyncIterator[Proxy]:
    async with Proxy.to(redis_settings.host, redis_settings.port) as proxy:
        yield proxy


@pytest.fixture
async def rates(redis_settings: RedisSettings, proxy: Proxy) -> AsyncIterator[WriteRates]:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_HOST": proxy.host,
        "REDIS_PORT": str(proxy.port),
        "REDIS_PASSWORD": redis_settings.password,
        "REDIS_DB": str(redis_settings.db),
    }
    async with WriteRates.open(load(Config, environment), writes=0, creates=3) as rates:
        yield rates


async def allowed(rates: WriteRates, count: int, owner: str) -> int:
    async def one() -> bool:
        try:
            await rates.require(owner, is_create=True)
        except RateLimitedError:
            return False
        return True

    async with asyncio.timeout(120):
        return sum([await one() for _ in range(count)])


async def test_silent_redis_delays_no_call_for_long(rates: WriteRates, proxy: Proxy) -> None:
    assert await allowed(rates, 2, "ann") == 2
    proxy.to_client.hold()

    assert await allowed(rates, 5, "ann") == 3, "the process counts alone"
    assert degraded() == 1


@pytest.mark.usefixtures("busy_redis")
async def test_redis_counts_again_after_an_outage(
    rates: WriteRates, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await allowed(rates, 2, "ann") == 2
    proxy.to_server.blackhole = True
    with monkeypatch.context() as outage:
        outage.setattr("gostream_api.rates.writes.SOFT_TIMEOUT", 0.5)
        assert await allowed(rates, 1, "ann") == 1
        assert degraded() == 1
    proxy.to_server.blackhole = False

    async with asyncio.timeout(120):
        while degraded() != 0:  # until the breaker tries again
            await allowed(rates, 1, "somebody else")
            await asyncio.sleep(0.05)

    assert await allowed(rates, 5, "ann") == 1


@pytest.mark.usefixtures("busy_redis")
@pytest.mark.parametrize("owner", ["corp:a/4/1/hour", "corp:{a}", "spiffe://x/y\n*", "ü" * 128])
async def test_owner_names_are_kept_apart(rates: WriteRates, owner: str) -> None:
    assert await allowed(rates, 5, owner) == 3
    assert await allowed(rates, 5, owner[:-1]) == 3


async def test_reads_of_an_owner_are_limited(start_api: StartApi, alice: Metadata, bob: Metadata) -> None:
    api = await start_api(RATE_READS="5")
    mine, others = [(await create(api, who)).video.id for who in (alice, bob)]

    for door in api.doors.values():
        call = door.stub.GetVideo
        request = messages.GetVideoRequest(id=mine)
        ends = await endings([call(request, metadata=alice, timeout=120) for _ in range(100)])
        assert ends[LIMITED] > 0
        await call(messages.GetVideoRequest(id=others), metadata=bob, timeout=120)

    async with aiohttp.ClientSession(headers=dict(alice)) as session:

        async def status() -> int:
            async with session.get(f"{api.url}/v1/videos/{mine}") as answer:
                return answer.status

        assert 429 in await asyncio.gather(*(status() for _ in range(100)))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(rate: ReadRate, count: int, owner: str = "ann") -> int:
    done = 0
    for _ in range(count):
        with suppress(RateLimitedError):
            rate.take(owner)
            done += 1
    return done


@pytest.mark.parametrize("per_second", [1, 3, 7, 1000])
def test_a_second_of_reads_may_come_together(per_second: int) -> None:
    clock = Clock()
    rate = ReadRate(per_second, clock=clock)

    assert taken(rate, 3 * per_second) == per_second
    clock.now += 1
    assert taken(rate, 3 * per_second) == per_second
    clock.now += 100
    assert taken(rate, 3 * per_second) == per_second, "an idle owner saves nothing more"
    assert taken(rate, 1, "bob") == 1


def test_refused_read_can_succeed_after_the_delay() -> None:
    clock = Clock()
    rate = ReadRate(4, clock=clock)
    assert taken(rate, 4) == 4
    with pytest.raises(RateLimitedError) as caught:
        rate.take("ann")

    clock.now += caught.value.retry_after
    rate.take("ann")


def test_owners_that_stopped_reading_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gostream_api.rates.reads._OWNERS", 100)
    clock = Clock()
    rate = ReadRate(1, clock=clock)
    for number in range(1000):
        clock.now += 0.1
        rate.take(str(number))

    assert len(rate._due) <= 100


@pytest.mark.parametrize(
    ("variables", "is_counted"),
    [({}, False), ({"RATE_READS": "9"}, True), ({"RATE_READS": "9", "AUTH_MODE": "none"}, False)],
)
def test_reads_without_a_limit_are_not_wrapped(
    tmp_path: Path, variables: dict[str, str], is_counted: bool
) -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "AUTH_MODE": "jwt",
        "AUTH_JWT_ISSUERS_FILE": str(tmp_path),
    }
    reads: Any = object()

    assert (_rated(load(ApiConfig, environment | variables), reads) is not reads) == is_counted


async def test_miss_of_l1_counts_once() -> None:
    class Reads:
        """L1 has nothing."""

        def peek_video(self, caller: Principal, video_id: object, *, min_version: int = 0) -> None:
            return None

        async def get_video(self, caller: Principal, video_id: object, *, min_version: int = 0) -> str:
            return "read"

    reads: Any = RatedReads(Reads(), ReadRate(3, clock=Clock()))  # type: ignore[arg-type]

    for _ in range(3):
        assert reads.peek_video(ANONYMOUS, uuid4()) is None
        assert await reads.get_video(ANONYMOUS, uuid4()) == "read"
    with pytest.raises(RateLimitedError):
        reads.peek_video(ANONYMOUS, uuid4())
