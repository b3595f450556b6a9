"""Hooks that run at a given moment of an attempt."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import StartedProbe


def after_probing(patch: pytest.MonkeyPatch, act: Callable[[str, Path], Awaitable[None]]) -> None:
    """Runs a function between probe and encode, with the source's URL and the attempt's folder."""

    inspect = StartedProbe.inspect

    async def look_and_act(probe: StartedProbe, url: str, *, folder: Path, **options: Any) -> Probe:
        found = await inspect(probe, url, folder=folder, **options)
        await act(url, folder)
        return found

    patch.setattr(StartedProbe, "inspect", look_and_act)


def before_publishing(
    patch: pytest.MonkeyPatch, store: ObjectStore, act: Callable[[], Awaitable[None]]
) -> None:
    """Runs a function after all uploads, when the worker lists the objects in the store."""
    listed = store.list

    async def act_and_list(prefix: str) -> AsyncIterator[StoredObject]:
        await act()
        async for found in listed(prefix):
            yield found

    patch.setattr(store, "list", act_and_list)
