"""What ffmpeg says while it runs: progress and log."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.encode.progress_parser import EncoderProgress, ProgressParser, split_lines
from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError
from gostream_worker.ffmpeg_log import LogClassifier


def reports(text: str) -> list[EncoderProgress]:
    parser = ProgressParser()
    return [report for line in text.splitlines() if (report := parser.feed(line))]


def test_progress_is_read_block_by_block() -> None:
    early = "frame=45\nspeed=N/A\nout_time_us=N/A\nprogress=continue\n"
    late = "frame=90\nspeed= 2.5x\nout_time_us=3000000\nprogress=end\n"

    assert reports(early + late) == [
        EncoderProgress(frames=45, position=None, speed=None),
        EncoderProgress(frames=90, position=3.0, speed=2.5),
    ]


def test_position_before_the_start_counts_as_zero() -> None:
    assert reports("out_time_us=-21333\nprogress=continue\n")[0].position == 0.0


@given(st.text())
def test_any_line_is_parsed_without_error(line: str) -> None:
    parser = ProgressParser()
    parser.feed(line)
    parser.feed("progress=continue")


@given(st.binary(), st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_chunk_boundaries(data: bytes, cuts: list[int]) -> None:
    whole, rest = split_lines(b"", data)
    pieces: list[str] = []
    pending, start = b"", 0
    for end in [*sorted(cuts), len(data)]:
        lines, pending = split_lines(pending, data[start:end])
        pieces, start = pieces + lines, max(start, end)

    assert (pieces, pending) == (whole, rest)


def test_line_without_end_is_truncated() -> None:
    _, rest = split_lines(b"", b"x" * 1_000_000)

    assert len(rest) <= 4096


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("[in#0 @ 0x1] [error] Format not on whitelist 'mov'", Code.UNSUPPORTED_CONTAINER),
        ("[dec] [error] Codec (magicyuv) not on whitelist 'h264'", Code.UNSUPPORTED_CODEC),
        ("[dec] [error] Codec (pgssub) not on whitelist 'h264'", Code.INTERNAL),
        ("[mov] [error] moov atom not found", Code.TRUNCATED),
        ("[x] [error] Picture size 8192x8192 exceeds specified max pixel count 35389440", Code.DIMENSIONS),
        ("[x] [error] Cannot allocate memory", Code.RESOURCE_LIMIT),
        ("[Parsed_zscale_0] [error] code 3074: no path between colorspaces", Code.UNSUPPORTED_CODEC),
        (
            "[SWR] [error] There is not enough information to do it",
            Code.UNSUPPORTED_CODEC,
        ),
        ("[aost#1:0/aac] [enc:aac] [error] Could not open encoder before EOF", Code.INTERNAL),
        ("[x] [error] something nobody has seen before", Code.INTERNAL),
    ],
)
@pytest.mark.parametrize("returncode", [1, 183, 234, -signal.SIGSEGV])
def test_failure_code_comes_from_log_lines(line: str, code: Code, returncode: int) -> None:
    log = LogClassifier()
    log.feed(line)

    with pytest.raises(ProcessingFailedError) as error:
        log.check(returncode, frames=100)

    assert error.value.code is code
    assert line in error.value.log_tail


@pytest.mark.parametrize(
    ("damage", "returncode", "code"),
    [
        (0, -signal.SIGSEGV, Code.INTERNAL),
        (0, -signal.SIGABRT, Code.INTERNAL),
        (0, 183, Code.INTERNAL),
        (1, -signal.SIGSEGV, Code.CORRUPT_STREAM),
        (1, 183, Code.CORRUPT_STREAM),
    ],
)
def test_missing_output_is_corruption_only_after_error_lines(
    damage: int, returncode: int, code: Code
) -> None:
    log = LogClassifier()
    for _ in range(damage):
        log.feed("[dec:aac] [error] Error submitting packet to decoder: Invalid argument")
    log.feed("[ao0->fg:2:0 @ 0x1] [warning] No filtered frames for output stream")

    with pytest.raises(ProcessingFailedError) as error:
        log.check(returncode, frames=100)

    assert error.value.code is code


def test_expected_errors_do_not_count_as_damage() -> None:
    log = LogClassifier()
    for _ in range(10):
        log.feed("[dec:h264] [error] Error submitting packet to decoder: Invalid data")

    log.check(0, frames=100, expected=9)
    with pytest.raises(ProcessingFailedError, match="CORRUPT_STREAM"):
        log.check(0, frames=100, expected=7)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ])
def test_kernel_limits_are_reported_as_resource_limits(number: signal.Signals) -> None:
    with pytest.raises(ProcessingFailedError) as error:
        LogClassifier().check(-number, frames=100)

    assert error.value.code is Code.RESOURCE_LIMIT
    assert error.value.failure.retryable


def test_full_disk_is_reported_as_worker_fault() -> None:
    log = LogClassifier()
    log.feed("[out#0] [error] Error writing trailer: No space left on device")

    with pytest.raises(WorkerFullError):
        log.check(228, frames=100)


def test_two_percent_damage_passes_and_three_fails() -> None:
    log = LogClassifier()
    for _ in range(2):
        log.feed("[vist#0:0/h264] [warning] corrupt decoded frame")
    log.check(0, frames=100)
    log.feed("[vist#0:0/h264] [error] Error submitting packet to decoder: Invalid data")

    with pytest.raises(ProcessingFailedError) as error:
        log.check(0, frames=100)

    assert error.value.code is Code.CORRUPT_STREAM


@given(st.lists(st.text(max_size=3000), max_size=50))
def test_log_keeps_only_its_last_lines(lines: list[str]) -> None:
    log = LogClassifier()
    for line in lines:
        log.feed(line)

    assert len(log.tail) <= 4096
    assert not lines or log.tail.endswith(lines[-1][-4096:])
