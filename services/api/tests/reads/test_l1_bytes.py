"""L1_BYTES bounds what one process keeps."""

from collections.abc import Awaitable, Callable

import pytest

from gostream_api.config import ApiConfig
from gostream_shared.config import ConfigError, load
from services.api.tests.conftest import Api

#: More replies than 64 KiB hold: an entry needs more than 400 bytes.
VIDEOS = 200


async def kept(api: Api, ids: list[str]) -> int:
    """Reads every video twice. Returns how many of them L1 has then."""
    await api.warm()
    for _ in range(2):
        layers = [await api.layer(video_id) for video_id in ids]
    return layers.count("L1")


async def test_l1_keeps_what_its_bytes_hold(start_api: Callable[..., Awaitable[Api]]) -> None:
    roomy, small = await start_api(), await start_api(L1_BYTES="65536")
    ids = [(await roomy.create()).video.id for _ in range(VIDEOS)]

    assert await kept(roomy, ids) == VIDEOS
    assert await kept(small, ids) < VIDEOS / 2


@pytest.mark.parametrize("size", ["0", "65535", "274877906945", "64MB"])
def test_size_of_l1_has_bounds(size: str) -> None:
    with pytest.raises(ConfigError, match="L1_BYTES: must be"):
        load(ApiConfig, {"DATABASE_URL": "postgresql://localhost/x", "L1_BYTES": size})
