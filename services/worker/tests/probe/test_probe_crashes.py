"""A crashed or hanging probe is an internal failure for any source."""

import asyncio
import signal
from asyncio.subprocess import Process
from pathlib import Path
from typing import cast

import pytest

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe import probe
from gostream_worker.probe.probe import starting_probe
from services.worker.tests import clips
from services.worker.tests.clips import Clips


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGABRT, Code.INTERNAL),
        (signal.SIGSEGV, Code.INTERNAL),
        (signal.SIGXCPU, Code.RESOURCE_LIMIT),
        (signal.SIGKILL, Code.RESOURCE_LIMIT),
    ],
)
async def test_only_exceeded_limits_are_resource_limits(
    number: signal.Signals, code: Code, clip: Clips, tmp_path: Path
) -> None:
    async with starting_probe() as started:
        cast("Process", started._child).send_signal(number)

        with pytest.raises(ProcessingFailedError) as error:
            await started.inspect(f"file:{clip(clips.plain)}", folder=tmp_path)

    assert error.value.code is code
    assert error.value.failure.retryable


async def test_hanging_probe_is_an_internal_failure(
    clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_TIMEOUT", 0.5)
    async with starting_probe() as started:
        cast("Process", started._child).send_signal(signal.SIGSTOP)

        async with asyncio.timeout(300):
            with pytest.raises(ProcessingFailedError, match="INTERNAL: not probed"):
                await started.inspect(f"file:{clip(clips.plain)}", folder=tmp_path)
