"""Builds ffmpeg's arguments for sources without a picture, as pure functions of the plan.

As in gostream_worker.encode.command, every argument is generated.
"""

from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.encode.loudness import meter
from gostream_worker.encode.sound_filters import sound_graphs, sound_label
from gostream_worker.object_names import LEVELS, POSTER, SEGMENTS, attempted
from gostream_worker.plan.sound_only import SEGMENT, SoundPlan, folder_of, rung_name
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


def sound_arguments(plan: SoundPlan, *, source: str, folder: str, attempt: int = 1) -> list[str]:
    """Returns the arguments that encode every sound at every rate in one process, below `folder`/."""
    names = attempted(SEGMENTS, attempt)
    arguments = [*_process_options(), *_input(plan, source)]
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


def cover_arguments(plan: SoundPlan, *, source: str, folder: str) -> list[str]:
    """Returns the arguments that write the poster from the cover picture of the plan."""
    size = f"min(iw\\,{_POSTER_SIDE}):min(ih\\,{_POSTER_SIDE})"
    scaled = f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1"
    return [
        *_process_options(),
        *_input(plan, source),
        *("-map", f"0:{plan.cover}", "-vf", f"{scaled},format=yuvj420p", "-frames:v", "1"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-q:v", "4", "-f", "image2", "-update", "1"),
        f"file:{folder}/{POSTER}",
    ]


def _process_options() -> list[str]:
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"),
        *("-progress", "pipe:1", "-stats_period", "0.5", "-y"),
    ]


def _input(plan: SoundPlan, source: str) -> list[str]:
    by = protocols(source, is_part=bool(plan.whole_bytes))
    onwards = ["-fflags", "+ignidx"] if plan.is_fragmented and is_served(source) else []
    return [
        *("-protocol_whitelist", ",".join(by), "-format_whitelist", ",".join(CONTAINERS)),
        *("-codec_whitelist", ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS))),
        *("-max_pixels", str(MAX_PIXELS), "-dn", "-sn", *onwards),
        *("-i", part_of(source, plan.whole_bytes) if plan.whole_bytes else source),
    ]


def _segments(folder: str, names: str) -> list[str]:
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(TIME_OFFSET)),
        *("-f", "hls", "-hls_time", f"{float(SEGMENT):.6f}", "-hls_list_size", "0"),
        *("-hls_playlist_type", "vod", "-hls_flags", "independent_segments+temp_file"),
        *("-hls_segment_filename", f"file:{folder}/{names}", f"{folder}/index.m3u8"),
    ]
