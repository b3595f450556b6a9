import contextlib
import pickle
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.errors import (
    AudioError,
    MalformedError,
    PacketSizeError,
    TransportError,
    VideoError,
)
from gostream_conformance.formats.aac import AacConfig, adts_frames
from gostream_conformance.formats.h264 import is_recovery_point, nal_units, parse_sps, without_escapes
from gostream_conformance.formats.mpegts import H264, PACKET, ticks_between
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.segment import measure_segment

from .packets import VIDEO_PID, moved, packet_of, pes_packet, remapped, sound_in_pieces
from .trees import CODECS, SIZES, encode_muxed, encode_video, video_packets


def measured(path: Path) -> SegmentMeasure:
    return measure_segment(path.read_bytes())


@pytest.mark.parametrize("rung", ["360p", "180p"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_frames_are_measured_as_by_libavformat(good_tree: Path, rung: str, number: int) -> None:
    segment = good_tree / "v1" / rung / f"seg{number}.ts"
    packets = video_packets(segment)
    video = measured(segment).video
    assert video is not None
    shown = [packet.pts or 0 for packet in packets]
    assert (video.first_pts, video.last_pts) == (min(shown), max(shown))
    assert (video.first_dts, video.last_dts) == (packets[0].dts, packets[-1].dts)
    assert video.frames == len(packets)
    assert video.ticks == len(packets) * 3600
    keys = [(packet.pts, packet.pos) for packet in packets if packet.is_keyframe]
    assert [(key.pts, key.offset) for key in video.key_frames] == keys
    assert video.dts_rise
    assert video.starts_with_key
    assert video.open_points == ()


def test_key_frame_range_matches_its_packets(good_tree: Path) -> None:
    segment = good_tree / "v1/180p/seg0.ts"
    data = segment.read_bytes()
    measure = measure_segment(data)
    for key in measure.key_frames:
        alone = measure_segment(data[: measure.tables_end] + data[key.offset : key.offset + key.size]).video
        assert alone is not None
        assert (alone.frames, len(alone.key_frames), alone.starts_with_key) == (1, 1, True)


def test_parameter_set_matches_the_encoder_settings(good_tree: Path) -> None:
    for rung, (width, height) in SIZES.items():
        video = measured(good_tree / "v1" / rung / "seg0.ts").video
        assert video is not None
        (sps,) = video.parameter_sets
        assert (sps.width, sps.height, sps.codec) == (width, height, CODECS[rung])
        assert (sps.chroma_format, sps.bit_depth, sps.progressive) == (1, 8, True)
        assert (sps.frame_rate, sps.sample_aspect) == (Fraction(25), Fraction(1))


def test_interlaced_anamorphic_high_10_422_is_recognised(tmp_path: Path) -> None:
    encode_video(
        tmp_path,
        "180p",
        x264=":tff=1",
        options=("-profile:v", "high422", "-pix_fmt", "yuv422p10le", "-vf", "setsar=4/3"),
    )
    video = measured(tmp_path / "seg0.ts").video
    assert video is not None
    (sps,) = video.parameter_sets
    assert (sps.profile, sps.chroma_format, sps.bit_depth, sps.progressive) == (122, 2, 10, False)
    assert (sps.width, sps.height, sps.sample_aspect) == (320, 180, Fraction(4, 3))


def test_sound_is_measured(good_tree: Path) -> None:
    measure = measured(good_tree / "v1/audio/seg0.ts")
    audio = measure.audio
    assert measure.video is None
    assert audio is not None
    assert audio.configs == (AacConfig(2, 48000, 2),)
    assert measure.duration == pytest.approx(6.016)
    assert 100_000 < audio.size * 8 / measure.duration < 160_000


@pytest.mark.parametrize("size", [100, 250, 1000])
def test_audio_frame_may_span_pes_packets(good_tree: Path, size: int) -> None:
    data = (good_tree / "v1/audio/seg0.ts").read_bytes()
    measure = measure_segment(sound_in_pieces(data, size))
    assert measure.jumps == ()
    assert measure.audio == measure_segment(data).audio


def test_truncated_last_audio_frame_is_an_error(good_tree: Path) -> None:
    data = sound_in_pieces((good_tree / "v1/audio/seg0.ts").read_bytes(), 100)
    with pytest.raises(AudioError):
        measure_segment(data[:-PACKET])


def test_muxed_segments_have_video_and_audio(tmp_path: Path) -> None:
    encode_muxed(tmp_path)
    measure = measured(tmp_path / "seg0.ts")
    assert measure.video is not None
    assert measure.audio is not None
    assert measure.duration == pytest.approx(6.0)
    assert measure.first_pts == measure.video.first_pts == 900_000


def test_non_idr_entry_point_is_open(tmp_path: Path) -> None:
    encode_video(tmp_path, "180p", x264=":intra-refresh=1:bframes=0")
    video = measured(tmp_path / "seg0.ts").video
    assert video is not None
    assert video.open_points != ()
    assert not set(video.open_points) & {key.pts for key in video.key_frames}


@pytest.mark.parametrize(("every", "longest", "missing"), [(50, 3600, 20), (10, 39600, 0)])
def test_few_gaps_are_holes_many_mean_variable_rate(
    good_tree: Path, every: int, longest: int, missing: int
) -> None:
    data = (good_tree / "v1/180p/seg0.ts").read_bytes()
    video = measure_segment(moved(data, VIDEO_PID, lambda number: 36000 * (number // every))).video
    assert video is not None
    assert (video.longest_gap, video.missing) == (longest, missing)


def test_clock_wraparound_is_measured() -> None:
    assert ticks_between((1 << 33) - 100, 200) == 300
    assert ticks_between(200, (1 << 33) - 100) == -300


def test_lost_packet_is_a_discontinuity_at_its_offset(good_tree: Path) -> None:
    data = (good_tree / "v1/180p/seg0.ts").read_bytes()
    cut = 40 * PACKET
    (jump,) = measure_segment(data[:cut] + data[cut + PACKET :]).jumps
    assert jump.offset == cut


def test_memory_for_hostile_segments_is_bounded(good_tree: Path) -> None:
    data = (good_tree / "v1/180p/seg0.ts").read_bytes()
    head = data[: measure_segment(data).tables_end]
    pes = pes_packet(b"\x00\x00\x01\x65\x88\x84\xff", 900_000)
    keys = [packet_of(VIDEO_PID, pes, counter) for counter in range(1001)]
    open_point = packet_of(
        VIDEO_PID, pes_packet(b"\x00\x00\x01\x06\x06\x01\x84\x80\x00\x00\x01\x41\x88", 900_000)
    )
    strange = [packet_of(pid, bytes(184)) * 2 for pid in range(0x200, 0x1000)]

    few = measure_segment(head + keys[0] + open_point * 10 + b"".join(strange[:10]))
    many = measure_segment(head + keys[0] + open_point * 1000 + b"".join(strange))

    assert len(pickle.dumps(many)) == pytest.approx(len(pickle.dumps(few)), abs=50)
    assert many.jump_count > few.jump_count > len(few.jumps) == 3
    measure_segment(head + b"".join(keys[:1000]))
    with pytest.raises(VideoError, match="more than 1000 key frames"):
        measure_segment(head + b"".join(keys))


def test_program_with_too_many_streams_is_an_error(good_tree: Path) -> None:
    data = (good_tree / "v1/180p/seg0.ts").read_bytes()
    measure_segment(remapped(data, {VIDEO_PID + number: H264 for number in range(32)}))
    with pytest.raises(TransportError):
        measure_segment(remapped(data, {VIDEO_PID + number: H264 for number in range(33)}))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: b"", PacketSizeError),
        (lambda data: data[:-1], PacketSizeError),
        (lambda data: data[PACKET * 3 : PACKET * 9], TransportError),  # no tables
        (lambda data: b"\x00" + data[1:], TransportError),
        (lambda data: data[: PACKET + 20] + b"\x55" + data[PACKET + 21 :], TransportError),  # PAT's CRC
        (lambda data: data[: 3 * PACKET + 3] + b"\xd0" + data[3 * PACKET + 4 :], TransportError),  # scrambled
    ],
)
def test_damage_is_a_typed_error(
    good_tree: Path, change: Callable[[bytes], bytes], error: type[Exception]
) -> None:
    data = (good_tree / "v1/180p/seg0.ts").read_bytes()
    with pytest.raises(error):
        measure_segment(change(data))


@given(st.data())
def test_mutated_segments_raise_only_malformed_error(good_tree: Path, data: st.DataObject) -> None:
    segment = bytearray((good_tree / "v1/180p/seg2.ts").read_bytes()[: 60 * PACKET])
    edits = st.tuples(st.integers(0, len(segment) - 1), st.binary(min_size=1, max_size=6))
    for at, new in data.draw(st.lists(edits, min_size=1, max_size=12)):
        segment[at : at + len(new)] = new
    with contextlib.suppress(MalformedError):
        measure_segment(bytes(segment))


@given(st.lists(st.binary(min_size=187, max_size=187), max_size=30))
def test_arbitrary_packets_raise_only_malformed_error(packets: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        measure_segment(b"".join(b"\x47" + packet for packet in packets))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_video_errors(data: bytes) -> None:
    for parse in (parse_sps, is_recovery_point):
        with contextlib.suppress(VideoError):
            parse(data)
    assert all(start < end <= len(data) for _, start, end in nal_units(data))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_audio_errors(data: bytes) -> None:
    with contextlib.suppress(AudioError):
        assert sum(size for _, size in adts_frames(data)) <= len(data)


@given(st.binary(max_size=100))
def test_emulation_prevention_bytes_are_removed(payload: bytes) -> None:
    escaped = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    if payload.endswith(b"\x00\x00"):
        escaped.append(3)
    assert without_escapes(bytes(escaped)) == payload


def test_measuring_takes_linear_time(good_tree: Path) -> None:
    """Eight times the packets must take little more than eight times the time."""
    data = (good_tree / "v1/360p/seg0.ts").read_bytes()

    def cost(segment: bytes) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            measure_segment(segment)
            times.append(time.process_time() - start)
        return min(times)

    assert cost(data * 8) < 8 * 3 * max(cost(data), 0.002)
