"""Something that happens at a certain moment of an attempt."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gostream_shared.storage import ObjectStore, StoredObject
from gostream_worker.ffmpeg.probe import probe_source
from gostream_worker.media import Probe


def after_probing(patch: pytest.MonkeyPatch, act: Callable[[str, Path], Awaitable[None]]) -> None:
    """Do something between the probe and the encoder, given the source's URL and the attempt's folder."""

    async def probe_and_act(url: str, *, folder: Path, patience: float) -> Probe:
        probe = await probe_source(url, folder=folder, patience=patience)
        await act(url, folder)
        return probe

    patch.setattr("gostream_worker.transcode_service.probe_source", probe_and_act)


def before_publishing(
    patch: pytest.MonkeyPatch, store: ObjectStore, act: Callable[[], Awaitable[None]]
) -> None:
    """Do something when everything is made and uploaded: then the worker looks at what the store has."""
    listed = store.list

    async def act_and_list(prefix: str) -> AsyncIterator[StoredObject]:
        await act()
        async for found in listed(prefix):
            yield found

    patch.setattr(store, "list", act_and_list)
