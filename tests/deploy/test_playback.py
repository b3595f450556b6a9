"""deploy/nginx on the real nginx: signed URLs, gates, and refusals."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gostream_api.videos.playback_tokens import PlaybackKeys
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.nginx import Nginx, playback_keys
from gostream_devstack.servers.nginx import Origin as Address
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.object_keys import gate_key, hls_prefix
from gostream_shared.domain.video import Video
from gostream_shared.storage.s3 import S3ObjectStore
from tests.deploy.edge import MASTER, PLAYLIST, SECRET, SEGMENT, ask, ask_from_many, varied
from tests.deploy.origin import Origin, serving
from tests.deploy.test_edge_refusals import HOSTILE
from tests.support.videos import make_video

pytestmark = pytest.mark.stack

KEYS_FILE = playback_keys(secrets.token_hex(16), secrets.token_hex(16))
PARSED = PlaybackKeys.parse(KEYS_FILE)
assert PARSED is not None
KEYS: PlaybackKeys = PARSED
OTHER_KEYS = PlaybackKeys("a", {"a": "x" * 43})
SOON = datetime.now(UTC) + timedelta(hours=1)
SEGMENT_OF_VIDEO = "v1/720p/00000.ts"
FILES = (
    *("master.m3u8", SEGMENT_OF_VIDEO, "v1/poster.jpg", "v1/storyboard.vtt", "v1/early-720p.m3u8"),
    "v1/download-audio.m4a",
)
Put = Callable[..., Awaitable[None]]
#: Seconds until an edge must obey a changed gate. Three are promised; more, because machines are busy.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directories]:
    home = Directories.at(tmp_path_factory.mktemp("signed"))
    yield home
    home.remove()


@pytest.fixture(scope="module")
def edge(object_store_server: SeaweedFS, home: Directories) -> Iterator[Nginx]:
    """An edge in front of the real object store, with signing keys."""
    store = object_store_server
    address = Address(store.endpoint_url, store.bucket, store.edge_secret)
    edge = Nginx(home, Ports({}).pick("signed"), address, SECRET, "signed", KEYS_FILE)
    edge.start()
    yield edge
    edge.stop()


@pytest.fixture
async def put(object_store_server: SeaweedFS) -> Put:
    """Returns a function that writes or removes objects in the real store."""
    server = object_store_server
    keys = {"S3_ACCESS_KEY": server.access_key, "S3_SECRET_KEY": server.secret_key}
    places = {"S3_ENDPOINT_URL": server.endpoint_url, "S3_BUCKET": server.bucket}
    config = load(Config, {"DATABASE_URL": "postgresql://unused", **places, **keys})

    async def put(*names: str, removed: tuple[str, ...] = ()) -> None:
        async with S3ObjectStore.open(config) as store:
            for name in names:
                await store.put(name, b"" if name.startswith("gate/") else b"content", content_type="x/y")
            await store.delete(removed)

    return put


@pytest.fixture
async def video(put: Put) -> Video:
    """A video whose objects are in the store, without a gate."""
    video = make_video(uuid4())
    await put(*(hls_prefix(video.id) + name for name in FILES), f"uploads/{video.id}/source")
    return video


def signed(video: Video, ends: datetime = SOON, *, keys: PlaybackKeys = KEYS, kid: str = "") -> str:
    """Returns the signed path that precedes the name of an object."""
    return f"{keys.path(video, ends, kid=kid)}/hls/{video.id}/"


def plain(video: Video) -> str:
    return f"/hls/{video.id}/"


def altered(path: str, position: int) -> str:
    """Returns the path with another character at that position."""
    other = "B" if path[position] == "A" else "A"
    return path[:position] + other + path[position + 1 :]


async def test_only_valid_tokens_play_signed_videos(edge: Nginx, video: Video, put: Put) -> None:
    await put(gate_key(video.id, "1"))
    token = signed(video)
    end = token.index("/hls/")
    statuses = {
        "good": signed(video),
        "key b": signed(video, kid="b"),
        "expired": signed(video, datetime.now(UTC) - timedelta(seconds=2)),
        "other key": signed(video, keys=OTHER_KEYS),
        "other video": signed(make_video()).split("/hls/")[0] + plain(video),
        "other epoch": signed(replace(video, playback_epoch=2)),
        "epoch altered": token.replace(".1.", ".2.", 1),
        "expiry altered": token.replace("a.1", "a.2", 1),
        "key altered": "/s/b" + token[4:],
        "unknown key": "/s/c" + token[4:],
        "signature altered": altered(token, end - 3),
        "signature shortened": token[: end - 1] + token[end:],
        "no token": plain(video),
    }
    seen = {name: ask(edge, path + SEGMENT_OF_VIDEO).status for name, path in statuses.items()}
    good = dict.fromkeys(("good", "key b"), 200)
    missing = dict.fromkeys(("no token", "unknown key", "signature shortened"), 404)
    assert seen == {**dict.fromkeys(statuses, 403), **good, **missing}


async def test_signed_url_covers_all_files_of_its_video(edge: Nginx, video: Video, put: Put) -> None:
    await put(gate_key(video.id, "1"))
    answers = [ask(edge, signed(video) + name) for name in FILES]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"content")] * len(FILES)
    assert all(answer.headers["referrer-policy"] == "no-referrer" for answer in answers)
    kept = [answer.headers["cache-control"] for answer in answers]
    day = "private, max-age=86400"
    assert kept == ["private, max-age=60", day, day, day, "private, max-age=1", day]


async def test_tokens_share_one_cached_copy(edge: Nginx, video: Video, put: Put) -> None:
    await put(gate_key(video.id, "1"))
    later = SOON + timedelta(minutes=15)
    first, second = (ask(edge, signed(video, ends) + SEGMENT_OF_VIDEO) for ends in (SOON, later))
    assert (first.cache, second.cache) == ("MISS", "HIT")


@pytest.mark.parametrize(
    ("gate", "public", "with_token"), [("public", 200, 403), ("1", 404, 200), ("2", 404, 403), ("", 404, 403)]
)
async def test_gate_decides_who_may_play(
    edge: Nginx, video: Video, put: Put, gate: str, public: int, with_token: int
) -> None:
    if gate:
        await put(gate_key(video.id, gate))
    answers = [ask(edge, prefix(video) + SEGMENT_OF_VIDEO) for prefix in (plain, signed)]
    assert [answer.status for answer in answers] == [public, with_token]
    assert all("x-cache-status" in answer.headers for answer in answers)
    assert {answer.headers["cache-control"] for answer in answers if answer.status != 200} <= {"no-store"}


async def test_cached_segment_ends_with_its_gate(edge: Nginx, video: Video, put: Put) -> None:
    key, path = gate_key(video.id, "1"), signed(video) + SEGMENT_OF_VIDEO
    await put(key)
    assert [ask(edge, path).cache for _ in range(2)] == ["MISS", "HIT"]
    await put(removed=(key,))
    until(lambda: ask(edge, path).status == 403)
    await put(key)
    until(lambda: ask(edge, path).status == 200)
    assert ask(edge, path).cache == "HIT", "the copy stays for the next viewers"


@pytest.mark.slow
async def test_first_viewer_after_a_pause_is_refused(edge: Nginx, video: Video, put: Put) -> None:
    key, path = gate_key(video.id, "public"), plain(video) + SEGMENT_OF_VIDEO
    await put(key)
    assert ask(edge, path).status == 200
    await put(removed=(key,))
    await asyncio.sleep(4)  # longer than an edge keeps a gate: no viewer asks in between
    assert ask(edge, path).status == 404


async def test_path_tricks_read_only_the_stream(edge: Nginx, video: Video, put: Put) -> None:
    other = make_video()
    await put(gate_key(video.id, "1"), f"hls/{other.id}/{SEGMENT_OF_VIDEO}", f"uploads/{video.id}/source.ts")
    token = signed(video).split("/hls/")[0]
    tricks = [token + target for target in HOSTILE]
    tricks += [signed(video) + way + rest for way in _WAYS_UP for rest in _targets(video, other)]
    tricks += [token + token + plain(video) + SEGMENT_OF_VIDEO, token + f"/gate/{video.id}/1"]
    tricks += [f"/hls{token}{plain(video)}{SEGMENT_OF_VIDEO}", f"/gate/{video.id}/1"]
    answers = {target: ask(edge, target) for target in tricks}
    assert {target: answer.status for target, answer in answers.items() if answer.status == 200} == {}
    assert not [target for target, answer in answers.items() if b"content" in answer.body]


_WAYS_UP = ("../", "%2e%2e/", "..%2f", "%2e%2e%2f", "v1/../../", "v1/..%2f..%2f", ".%2e/", "//../", "..;/")


def _targets(video: Video, other: Video) -> list[str]:
    return [
        f"{other.id}/{SEGMENT_OF_VIDEO}",
        f"../uploads/{video.id}/source.ts",
        f"..%2fuploads%2f{video.id}%2fsource.ts",
        f"../gate/{video.id}/1",
    ]


async def test_no_token_is_logged(edge: Nginx, video: Video, put: Put) -> None:
    await put(gate_key(video.id, "1"))
    token = signed(video).split("/hls/")[0]
    paths = [token + plain(video) + name for name in ("master.m3u8", "missing.ts", "no/such/kind.exe")]
    paths += [
        altered(paths[0], 30),
        token.replace("/s/", "/x/") + "/a.ts",
        token.replace("/s", "/%73") + "/a.ts",
    ]
    paths += ["/s/%61" + token[4:] + plain(video) + "master.m3u8", "/?" + token, token, f"//{token}//"]
    for path in paths:
        ask_from_many(edge, path, 1, when_sent=lambda: None)
    # Each process of nginx writes its lines within a second, not in the order of the requests.
    until(lambda: edge.tail(100_000).count('"client":"127.1.0.1"') == len(paths))
    log = edge.tail(100_000)
    assert token.rpartition(".")[2] not in log
    assert f'"uri":"/hls/{video.id}/master.m3u8","key":"a"' in log


async def test_store_is_closed_to_others(object_store_server: SeaweedFS, video: Video) -> None:
    store = object_store_server
    target = f"/{store.bucket}/hls/{video.id}/{SEGMENT_OF_VIDEO}"
    statuses = [
        get(store, target, referer) for referer in ({}, {"Referer": "guess"}, {"Referer": store.edge_secret})
    ]
    assert statuses == [403, 403, 200]


def test_edge_without_keys_accepts_no_token(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    origin.open_gates.add("v-1/1")
    edge = make_edge(origin)
    empty = PlaybackKeys("a", {"a": ""})
    video = make_video()
    token = empty.path(video, SOON).replace(str(video.id), "v-1")
    assert ask(edge, token + SEGMENT).status == 403
    forged = KEYS.path(video, SOON)
    assert ask(edge, forged + SEGMENT).status == 403


@pytest.mark.parametrize(("choice", "known"), [("open", 200), ("closed", 404)])
def test_known_gates_during_an_outage(
    origin: Origin, make_edge: Callable[..., Nginx], choice: str, known: int
) -> None:
    gone = Origin(dict(origin.objects), open_gates={"v-1/public"})
    with serving(gone):
        edge = make_edge(gone, varied(EDGE_GATE_WHEN_ORIGIN_DOWN=choice))
        assert ask(edge, SEGMENT).status == 200
    time.sleep(4)  # longer than an edge keeps a gate
    assert ask(edge, SEGMENT).status == known
    unknown = ask(edge, "/hls/v-2/v1/720p/00000.ts")
    assert unknown.status == (503 if choice == "open" else 404)


def test_one_gate_request_serves_many_viewers(edge_of_origin: Nginx, origin: Origin) -> None:
    began = time.monotonic()
    for path in (MASTER, PLAYLIST, SEGMENT) * 20:
        assert ask(edge_of_origin, path).status == 200
    assert origin.gate_requests <= 1 + (time.monotonic() - began) / 3


@pytest.fixture
def edge_of_origin(origin: Origin, make_edge: Callable[..., Nginx]) -> Nginx:
    return make_edge(origin)


def test_refresh_does_not_wait_for_the_gate(edge_of_origin: Nginx, origin: Origin) -> None:
    origin.open_gates.clear()
    assert ask(edge_of_origin, MASTER).status == 404
    assert ask(edge_of_origin, MASTER, X_Cache_Refresh=SECRET).status == 200
    assert ask(edge_of_origin, MASTER, X_Cache_Refresh="guess").status == 404


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def get(store: SeaweedFS, target: str, headers: dict[str, str]) -> int:
    return ask(store, target, **headers).status
