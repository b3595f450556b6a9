"""Clock steps of a streamed broadcast: found by the encoder, used by the next probe."""

from pathlib import Path

import pytest

from gostream_worker.encode.encoder import Encoder, EncodeReport
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg_log import LogClassifier
from services.worker.tests.sandbox.test_process import INTERPRETER, ignore, script

_LINE = "[aist#0:1/aac @ 0x55] [warning] timestamp discontinuity (stream id=257): {}, new offset= 0"


def test_longest_forward_clock_step_is_kept() -> None:
    complaints = LogClassifier()
    for step in (-30_000_000, 20_010_167, -20_010_167, 15_000_000):
        complaints.feed(_LINE.format(step))

    assert complaints.longest_step == pytest.approx(20.01, abs=0.01)


async def test_unexpected_clock_step_stops_the_encoder(tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailedError) as error:
        await _run(tmp_path, may_step=False)

    assert error.value.code is Code.INTERNAL, "another attempt reads the source first"


async def test_expected_clock_step_is_no_failure(tmp_path: Path) -> None:
    assert (await _run(tmp_path, may_step=True)).damaged == 0


async def _run(folder: Path, *, may_step: bool) -> EncodeReport:
    saying = script("import sys", f"print({_LINE.format(20_010_167)!r}, file=sys.stderr)")
    encoder = Encoder(INTERPRETER, memory=8 << 30)
    return await encoder.run(saying, folder=folder, duration=1, on_progress=ignore, may_step=may_step)
