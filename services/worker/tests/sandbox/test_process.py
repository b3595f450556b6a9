"""Sandboxed children that parse untrusted sources."""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.encode.encoder import Encoder, Patience
from gostream_worker.encode.progress_parser import EncoderProgress
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.sandbox.process import ChildLimits, limited_child

LIMITS = ChildLimits(memory=1 << 30, cpu_seconds=30, file_bytes=1 << 20)
#: A stand-in for ffmpeg that the sandbox may run, with the files of its prefix.
INTERPRETER = Path(sys.executable).resolve()
PYTHON = [sys.executable, "-I", "-S", "-c"]


async def said(script: str, folder: Path, limits: ChildLimits = LIMITS) -> tuple[str, int]:
    async with limited_child([*PYTHON, script], limits, folder=folder) as child, asyncio.timeout(300):
        out, _ = await child.communicate()
    return out.decode(), child.returncode or 0


def alive(pid: int) -> bool:
    """Returns whether the process runs and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def children_of_this_process() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


async def gone(pid: int) -> None:
    async with asyncio.timeout(300):
        while alive(pid):
            await asyncio.sleep(0.01)


async def first_number(child: Process) -> int:
    assert child.stdout is not None
    async with asyncio.timeout(300):
        return int(await child.stdout.readline())


async def test_child_has_clean_environment_and_own_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_SECRET_KEY", "secret")

    out, _ = await said(
        "import os, sys; print(sorted(os.environ), sys.stdin.read() == '', os.getpgid(0) == os.getpid())",
        tmp_path,
    )

    # Python sets LC_CTYPE if the environment is empty.
    assert out == "['HOME', 'LC_CTYPE'] True True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
async def test_child_can_gain_no_privileges(tmp_path: Path) -> None:
    out, _ = await said("print(open('/proc/self/status').read())", tmp_path)

    assert "NoNewPrivs:\t1" in out


async def test_memory_is_limited(tmp_path: Path) -> None:
    _, code = await said("b'x' * (2 << 30)", tmp_path)

    assert code == 1


async def test_processor_time_is_limited(tmp_path: Path) -> None:
    limits = ChildLimits(memory=1 << 30, cpu_seconds=1, file_bytes=1)

    _, code = await said("while True: pass", tmp_path, limits)

    assert code < 0


async def test_file_size_is_limited(tmp_path: Path) -> None:
    _, code = await said("open('big', 'wb').write(b'x' * (2 << 20))", tmp_path)

    assert code != 0
    assert (tmp_path / "big").stat().st_size <= 1 << 20


async def test_leaving_the_block_ends_the_process_group(tmp_path: Path) -> None:
    family = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']);"
        "print(p.pid, flush=True); time.sleep(99)"
    )
    async with limited_child([*PYTHON, family], LIMITS, folder=tmp_path) as child:
        grandchild = await first_number(child)

    assert not alive(child.pid)
    await gone(grandchild)


async def test_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gostream_worker.sandbox.process.STOP_GRACE", 0.2)
    stubborn = (
        "import signal, os, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(99)"
    )
    async with limited_child([*PYTHON, stubborn], LIMITS, folder=tmp_path) as child:
        await first_number(child)

    assert child.returncode == -9


async def test_second_cancellation_ends_the_wait(tmp_path: Path) -> None:
    ready = asyncio.Event()
    stubborn = (
        "import signal, os, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(99)"
    )
    children: list[Process] = []

    async def use() -> None:
        async with limited_child([*PYTHON, stubborn], LIMITS, folder=tmp_path) as child:
            children.append(child)
            await first_number(child)
            ready.set()
            await child.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gostream_worker.sandbox.process.STOP_GRACE", 90)
        task = asyncio.ensure_future(use())
        await ready.wait()
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()
        async with asyncio.timeout(300):
            with pytest.raises(asyncio.CancelledError):
                await task

    assert children[0].returncode == -9


@pytest.mark.parametrize("steps", range(12))
async def test_cancellation_never_leaves_a_child(tmp_path: Path, steps: int) -> None:
    """Cancels before, during and after the spawn, and during the wait."""
    mark = tmp_path / "mark"
    script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(99)"

    async def use() -> None:
        async with limited_child([*PYTHON, script], LIMITS, folder=tmp_path) as child:
            await child.wait()

    task = asyncio.ensure_future(use())
    for _ in range(steps):
        await asyncio.sleep(0 if steps < 10 else 0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    if mark.exists() and (pid := mark.read_text()):
        assert not alive(int(pid))


async def test_child_dies_with_its_worker(tmp_path: Path) -> None:
    """A killed worker cannot stop its encoder; the kernel does."""
    script = f"""
import asyncio, os, sys
from pathlib import Path
from gostream_worker.sandbox.process import ChildLimits, limited_child
async def main():
    limits = ChildLimits(memory=1 << 30, cpu_seconds=60, file_bytes=1)
    encoder = "import os, time; print(os.getpid(), flush=True); time.sleep(99)"
    command = [sys.executable, "-I", "-S", "-c", encoder]
    async with limited_child(command, limits, folder=Path({str(tmp_path)!r})) as child:
        print((await child.stdout.readline()).decode().strip(), flush=True)
        await asyncio.sleep(99)
asyncio.run(main())
"""
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    encoder = await first_number(worker)
    assert alive(encoder)

    worker.kill()
    await worker.wait()

    await gone(encoder)


def ignore(progress: EncoderProgress) -> None:
    pass


def script(*lines: str) -> list[str]:
    return ["-I", "-S", "-c", "\n".join(lines)]


def endless(folder: Path) -> list[str]:
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    return ["-v", "error", "-progress", "pipe:1", *source, "-c:v", "libx264", "-f", "null", "-"]


async def test_slow_encode_is_stopped(tmp_path: Path) -> None:
    encoder = Encoder(
        Path(get_ffmpeg_exe()), memory=8 << 30, patience=Patience(wall_base=0.5, wall_per_media_second=0.5)
    )

    with pytest.raises(ProcessingFailedError) as error:
        await encoder.run(endless(tmp_path), folder=tmp_path, duration=1, on_progress=ignore)

    assert error.value.code is Code.RESOURCE_LIMIT
    assert "not done" in error.value.detail


async def test_stalled_encoder_is_stopped(tmp_path: Path) -> None:
    encoder = Encoder(INTERPRETER, memory=8 << 30, patience=Patience(no_progress=0.5))

    with pytest.raises(ProcessingFailedError) as error:
        await encoder.run(
            script("import time", "time.sleep(99)"), folder=tmp_path, duration=1, on_progress=ignore
        )

    assert error.value.code is Code.INTERNAL
    assert "no progress" in error.value.detail


async def test_spinning_encoder_is_stopped(tmp_path: Path) -> None:
    encoder = Encoder(INTERPRETER, memory=8 << 30, patience=Patience(no_progress=1))

    with pytest.raises(ProcessingFailedError, match="no progress"):
        await encoder.run(script("while True: pass"), folder=tmp_path, duration=60, on_progress=ignore)


async def test_slowed_encoder_is_not_stopped(tmp_path: Path) -> None:
    slowed = script(
        "import time",
        "for n in range(20):",
        "    began = time.process_time()",
        "    while time.process_time() - began < 0.02: pass",
        "    time.sleep(0.1)",
    )
    encoder = Encoder(INTERPRETER, memory=8 << 30, patience=Patience(no_progress=0.6))

    report = await encoder.run(slowed, folder=tmp_path, duration=60, on_progress=ignore)

    assert report.seconds > 2


async def test_encoder_that_writes_counts_as_active(tmp_path: Path) -> None:
    busy = script(
        "import pathlib, time", "for n in range(8): pathlib.Path(f'{n}.ts').touch(); time.sleep(0.25)"
    )
    encoder = Encoder(INTERPRETER, memory=8 << 30, patience=Patience(no_progress=1))

    report = await encoder.run(busy, folder=tmp_path, duration=1, on_progress=ignore)

    assert report.seconds > 1


async def test_encoder_that_progresses_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = script(
        "import time",
        "for n in range(10):",
        "    print(f'out_time_us={n}00000\\nprogress=continue', flush=True)",
        "    time.sleep(0.2)",
    )
    encoder = Encoder(INTERPRETER, memory=8 << 30, patience=Patience(no_progress=1.5))
    positions: list[float | None] = []

    # The clock advances one second per report, so a stalled machine does not look like a stalled encoder.
    monkeypatch.setattr("gostream_worker.encode.encoder.monotonic", lambda: float(len(positions)))
    await encoder.run(moving, folder=tmp_path, duration=1, on_progress=lambda p: positions.append(p.position))

    assert positions == [pytest.approx(n / 10) for n in range(10)]


async def test_cancelled_encode_stops_ffmpeg(tmp_path: Path) -> None:
    encoder = Encoder(Path(get_ffmpeg_exe()), memory=8 << 30)
    running = asyncio.Event()
    task = asyncio.ensure_future(
        encoder.run(endless(tmp_path), folder=tmp_path, duration=60, on_progress=lambda p: running.set())
    )
    async with asyncio.timeout(300):
        await running.wait()
    children = children_of_this_process()
    assert children

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    for pid in children:
        await gone(pid)
