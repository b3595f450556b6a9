"""The bytes of an encode do not depend on the machine."""

import shutil
from pathlib import Path

import pytest

from gostream_worker.encode.command import chunk_arguments
from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from services.worker.tests.chunks.chunk_runs import contents, probed, run
from services.worker.tests.clips import Clips, make, picture, sound

#: Processors that ffmpeg finds, and how it is made to find them.
_MACHINES = {1: ["taskset", "-c", "0"], 2: [], 8: []}


def two_rungs(folder: Path) -> Path:
    return make(folder / "two.mp4", picture("640x360", 2), sound(2))


def encoded(plan: Plan, chunk: Chunk, source: Path, folder: Path, cores: int) -> dict[str, str]:
    for name in plan.renditions:
        (folder / name).mkdir(parents=True)
    arguments = chunk_arguments(plan, chunk, source=f"file:{source}", folder=".")
    run(["-cpucount", str(cores), *arguments], folder, under=_MACHINES[cores])
    return contents(folder)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs util-linux")
@pytest.mark.parametrize(
    "chunk",
    [WHOLE, pytest.param(Chunk(1, ChunkKind.PICTURE, 0, 45), marks=pytest.mark.slow)],
    ids=lambda chunk: chunk.kind,
)
def test_bytes_are_equal_on_any_processors(clip: Clips, tmp_path: Path, chunk: Chunk) -> None:
    source = clip(two_rungs)
    plan = make_plan(probed(source), DEFAULT_PROFILE, may_copy=False)

    made = [encoded(plan, chunk, source, tmp_path / str(cores), cores) for cores in _MACHINES]

    assert len(made[0]) > 3
    assert made[0] == made[1] == made[2]
