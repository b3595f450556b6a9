"""Builds ffmpeg's arguments for sources without a picture, as pure functions of the plan.

As in gostream_worker.encode.command, every argument is generated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.encode.loudness import meter
from gostream_worker.encode.sound_filters import sound_graphs, sound_label
from gostream_worker.object_names import LEVELS, POSTER, SEGMENTS, attempted, levels_of
from gostream_worker.plan.sound_only import SEGMENT, SoundPlan, folder_of, rung_name
from gostream_worker.plan.sounds import Sound
from gostream_worker.probe.mp4.whole_part import part_of
from gostream_worker.sandbox.allowlist import (
    AUDIO_DECODERS,
    CONTAINERS,
    MAX_PIXELS,
    VIDEO_DECODERS,
    is_served,
    protocols,
)

#: Longest side of a poster in pixels.
_POSTER_SIDE = 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSource:
    """The URL of a source, and how its container is read."""

    url: str
    is_fragmented: bool = False
    whole_bytes: int | None = None
    ignores_edits: bool = False


def measuring_arguments(
    sounds: Sequence[Sound], source: SoundSource, *, folder: str, duration: float
) -> list[str]:
    """Returns the arguments that measure the loudness of each sound, and write nothing else."""
    arguments = [*_process_options(), *_input(source)]
    for number, sound in enumerate(sounds):
        report = meter(f"{folder}/{levels_of(number)}", duration)
        for graph in sound_graphs(sound.audio, shift=0, number=number, report=report):
            arguments += ["-filter_complex", graph]
    for number, _ in enumerate(sounds):
        arguments += ["-map", f"[{sound_label(number)}]", "-f", "null", "-"]
    return arguments


def sound_arguments(plan: SoundPlan, source: SoundSource, *, folder: str, attempt: int = 1) -> list[str]:
    """Returns the arguments that encode every sound at every rate in one process, below `folder`/."""
    names = attempted(SEGMENTS, attempt)
    arguments = [*_process_options(), *_input(source)]
    for number, sound in enumerate(plan.sounds):
        report = meter(f"{folder}/{LEVELS}", plan.duration) if number == 0 else ""
        *before, last = sound_graphs(sound.audio, shift=0, number=number, gain=sound.gain, report=report)
        label = sound_label(number)
        rungs = "".join(f"[{label}-{rung_name(rate)}]" for rate in plan.rates)
        for graph in (*before, f"{last};[{label}]asplit={len(plan.rates)}{rungs}"):
            arguments += ["-filter_complex", graph]
    for rate in plan.rates:
        for number, sound in enumerate(plan.sounds):
            until = [] if sound.cut_at is None else ["-t", f"{sound.cut_at:.3f}"]
            coded = ["-c:a", "aac", "-profile:a", "aac_low", "-b:a", str(rate), *until]
            arguments += ["-map", f"[{sound_label(number)}-{rung_name(rate)}]", *coded]
            arguments += _segments(f"{folder}/{folder_of(sound, rate)}", names)
    return arguments


def cover_arguments(cover: int, source: SoundSource, *, folder: str) -> list[str]:
    """Returns the arguments that write the poster from the cover picture with that index."""
    size = f"min(iw\\,{_POSTER_SIDE}):min(ih\\,{_POSTER_SIDE})"
    scaled = f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1"
    return [
        *_process_options(),
        *_input(source),
        *("-map", f"0:{cover}", "-vf", f"{scaled},format=yuvj420p", "-frames:v", "1"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-q:v", "4", "-f", "image2", "-update", "1"),
        f"file:{folder}/{POSTER}",
    ]


def _process_options() -> list[str]:
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"),
        *("-progress", "pipe:1", "-stats_period", "0.5", "-y"),
    ]


def _input(source: SoundSource) -> list[str]:
    by = protocols(source.url, is_part=bool(source.whole_bytes))
    edits = ["-ignore_editlist", "1"] if source.ignores_edits else []
    onwards = ["-fflags", "+ignidx"] if source.is_fragmented and is_served(source.url) else []
    return [
        *("-protocol_whitelist", ",".join(by), "-format_whitelist", ",".join(CONTAINERS)),
        *("-codec_whitelist", ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS))),
        *("-max_pixels", str(MAX_PIXELS), "-dn", "-sn", *edits, *onwards),
        *("-i", part_of(source.url, source.whole_bytes) if source.whole_bytes else source.url),
    ]


def _segments(folder: str, names: str) -> list[str]:
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(TIME_OFFSET)),
        *("-f", "hls", "-hls_time", f"{float(SEGMENT):.6f}", "-hls_list_size", "0"),
        *("-hls_playlist_type", "vod", "-hls_flags", "independent_segments+temp_file"),
        *("-hls_segment_filename", f"file:{folder}/{names}", f"{folder}/index.m3u8"),
    ]
