"""The arguments of ffmpeg, as a pure function of the plan.

Every argument is ours: the source has an address of ours, and nothing that a user typed ever stands here.
"""

import os
from collections.abc import Sequence
from types import MappingProxyType

from gostream_worker.encode.sound_filters import sound_graphs, sound_shift
from gostream_worker.object_names import AUDIO, POSTER, SHEET, attempted
from gostream_worker.plan.plan import Plan, Rung
from gostream_worker.plan.profiles import LARGE
from gostream_worker.plan.storyboard import plan_storyboard
from gostream_worker.probe.model import AudioTrack, VideoTrack
from gostream_worker.probe.mp4.whole_part import part_of
from gostream_worker.probe.timing.timeline import USUAL_LIMIT, pause_limit
from gostream_worker.probe.tracks.colour import Colours, label
from gostream_worker.sandbox.allowlist import (
    AUDIO_DECODERS,
    CONTAINERS,
    MAX_PIXELS,
    VIDEO_DECODERS,
    is_served,
    protocols,
)

#: Seconds that every output starts at: with B-frames decoding begins before the first picture is shown, and a
#: start at zero would shift each rung by its own delay.
TIME_OFFSET = 10
_INDEX = "index.m3u8"  # ffmpeg's own playlist: not published
_POSTER_MAX_SIDE = 720
#: ITU-T H.273 MatrixCoefficients that rungs may have, by ffmpeg's names.
_MATRICES = MappingProxyType(
    {1: "bt709", 2: "unknown", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
)
#: Processors that the encoder may run on.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encode_arguments(
    plan: Plan, *, source: str, folder: str, attempt: int = 1, cores: int = CORES
) -> list[str]:
    """Encode the source at that URL: all rungs, the sound and the stills in one process, below `folder`/."""
    names = attempted("%05d.ts", attempt)
    arguments = [*_process_options(), *_input_options(plan, source), *_demuxer_options(plan, source)]
    arguments += ["-i", part_of(source, plan.whole_bytes) if plan.whole_bytes else source]
    for graph in (*source_graphs(plan), filter_graph(plan)):
        arguments += ["-filter_complex", graph]
    for number, rung in enumerate(plan.rungs):
        is_copied = number == 0 and plan.copied
        picture = _copied_picture(plan) if is_copied else _encoded_picture(plan, number, cores)
        arguments += [*picture, *_segments(plan, folder, rung.name, names)]
    if plan.audio:
        arguments += [*_sound(plan, plan.audio), *_segments(plan, folder, AUDIO, names)]
        if plan.copies_sound:  # decoded all the same: a copy of damage complains of nothing
            arguments += ["-map", f"0:{plan.audio.index}", "-f", "null", "-"]
    for pad, name in (("poster", POSTER), ("storyboard", SHEET)):
        arguments += ["-map", f"[{pad}]", *_clean_metadata(), *_picture(), f"file:{folder}/{name}"]
    return arguments


def source_graphs(plan: Plan) -> list[str]:
    """What makes one shape of the picture and the sound that are encoded, whatever the source makes of them.

    Where it changes in the middle ffmpeg makes the graphs anew that see it, and they forget what they knew:
    so what counts from the beginning on stands in a graph behind each, `filter_graph` for the picture. One
    that is copied does not change, and its frames have lengths of their own, which graphs would not pass on.
    """
    graphs = [] if plan.copied else [f"{_shaped(plan)}[picture]"]
    if plan.audio and not plan.copies_sound:
        graphs += sound_graphs(plan.audio, shift=0 if plan.copied else sound_shift(plan))
    return graphs


def filter_graph(plan: Plan) -> str:
    """One decode; each rung is scaled from the one above it; stills are taken from small ones."""
    whole = f"[picture]fps=fps={plan.fps}:start_time=0"
    poster_rung = _poster_rung(plan.rungs)
    chains = []
    for number, rung in enumerate(plan.rungs):
        outputs = [] if number == 0 and plan.copied else [f"[v{number}]"]
        if number + 1 < len(plan.rungs):
            outputs.append(f"[s{number + 1}]")
        if number == poster_rung:
            outputs.append("[p]")
        if number + 1 == len(plan.rungs):
            outputs.append("[b]")
        scaled = f"[s{number}]{_scale(rung)}" if number else _shaped(plan) if plan.copied else whole
        chains.append(f"{scaled},split={len(outputs)}{''.join(outputs)}")
    # The first frame, then the one wanted over it: there is always a picture, however short the video.
    chains.append(f"[p]select=eq(n\\,0)+gte(t\\,{plan.poster_at:.3f})*lt(selected_n\\,2)[poster]")
    return ";".join([*chains, *_storyboard(plan)])


def _storyboard(plan: Plan) -> list[str]:
    """Few frames are looked at twice. A blank sheet comes first: until an output has said anything, ffmpeg
    reports no progress, and the tiles are complete at the end only.
    """
    board = plan_storyboard(plan)
    chosen = f"select=not(mod(n\\,{board.step}))*lt(selected_n\\,{board.tiles})"
    small = f"scale={board.width}:{board.height}:flags=area,setsar=1"
    size = f"{board.columns * board.width}x{board.rows * board.height}"
    return [
        f"[b]{chosen},{small},tile={board.columns}x{board.rows}[sheet]",
        f"color=black:size={size}:rate=1:duration=1,format=yuv420p[blank]",
        "[blank][sheet]concat[storyboard]",
    ]


def _shaped(plan: Plan) -> str:
    """The source's picture in the size and the colours of the largest rung."""
    # Frames of a copied picture keep their times, or rungs would not be cut where it is. Else the last one
    # comes once more: the graph behind does not hear how long it lasts, and takes its beginning for the end.
    pace = [] if plan.copied else [f"fps=fps={plan.fps}", f"tpad=stop={1 + plan.held_frames}:stop_mode=clone"]
    colours = f"format=yuv420p:color_spaces={_matrix(plan)}"
    filters = [*_understood(plan.video), *pace, _scale(plan.rungs[0]), *_tone_map(plan), colours]
    return f"[0:{plan.video.index}]{','.join(filters)}"


def _understood(video: VideoTrack) -> list[str]:
    """Whole pictures, in colours that every filter knows."""
    labels = [label(video.relabelled)] if video.relabelled else []
    parity = f"parity={video.combs}:deint=all" if video.combs else "deint=interlaced"
    deinterlace = [f"bwdif=mode=send_frame:{parity}"] if video.interlaced or video.combs else []
    conversion = Colours(matrix=video.matrix, transfer=video.transfer).first_conversion
    return [*labels, *deinterlace, *([conversion] if conversion else [])]


def _scale(rung: Rung) -> str:
    # JPEG's range is the full one, and would become that of everything it shares a graph with.
    return f"scale={rung.width}:{rung.height}:flags=lanczos:out_range=limited,setsar=1"


def _matrix(plan: Plan) -> str:
    """The source's at its beginning, for all of it; what players do not know becomes what they expect."""
    video = plan.video
    if plan.hdr_transfer or Colours(matrix=video.matrix, transfer=video.transfer).first_conversion:
        return "bt709"
    usual = "bt709" if min(plan.rungs[0].width, plan.rungs[0].height) >= LARGE else "smpte170m"
    return _MATRICES.get(video.matrix, usual)


def _tone_map(plan: Plan) -> list[str]:
    if plan.hdr_transfer is None:
        return []
    return [
        f"zscale=tin={plan.hdr_transfer}:min=bt2020nc:pin=bt2020:t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
    ]


def _poster_rung(rungs: Sequence[Rung]) -> int:
    """The largest rung that is no larger than a poster needs to be."""
    for number, rung in enumerate(rungs):
        if min(rung.width, rung.height) <= _POSTER_MAX_SIDE:
            return number
    return len(rungs) - 1


def _process_options() -> list[str]:
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"),
        *("-progress", "pipe:1", "-stats_period", "0.5", "-y"),
    ]


def _input_options(plan: Plan, source: str) -> list[str]:
    """What may be read: the source's one file, by these demuxers and decoders, in these sizes."""
    by = protocols(source, is_part=bool(plan.whole_bytes))
    return [
        *("-protocol_whitelist", ",".join(by), "-format_whitelist", ",".join(CONTAINERS)),
        *("-codec_whitelist", ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS))),
        # Decoders crop at multiples of their vectors' size otherwise.
        *("-max_pixels", str(MAX_PIXELS), "-flags", "unaligned", "-dn", "-sn"),
    ]


def _demuxer_options(plan: Plan, source: str) -> list[str]:
    edits = ["-ignore_editlist", "1"] if plan.ignores_edits else []
    # Else all fragments are looked for before the first one is decoded: the whole source is fetched.
    onwards = ["-fflags", "+ignidx"] if plan.is_fragmented and is_served(source) else []
    # What comes before the first key frame may be most of the film.
    leading = ["-max_error_rate", "1"] if plan.video.leading else []
    # ffmpeg asks each track by itself: a pause of one must not count as a jump of the clock.
    pause = plan.longest_pause > USUAL_LIMIT
    clock = ["-dts_delta_threshold", str(pause_limit(plan.longest_pause))] if pause else []
    return [*edits, *onwards, *leading, *clock]


def _copied_picture(plan: Plan) -> list[str]:
    return ["-map", f"0:{plan.video.index}", "-c:v", "copy"]


def _encoded_picture(plan: Plan, number: int, cores: int) -> list[str]:
    keys = _keys_of_the_source() if plan.copied else _regular_keys(plan.gop_frames)
    threads = _fewer_threads(cores) if number > (1 if plan.copied else 0) else []
    return ["-map", f"[v{number}]", *_video_codec(plan.rungs[number]), *threads, *keys]


def _fewer_threads(cores: int) -> list[str]:
    """For rungs beside a larger one: with x264's 1.5 threads a core each, they are in each other's way."""
    return ["-threads", str(max(1, cores // 2))]


def _keys_of_the_source() -> list[str]:
    """Key frames where the source has them and nowhere else, at the very times that a copy has."""
    return [
        *("-force_key_frames", "source", "-forced-idr", "1", "-g", "100000", "-keyint_min", "1"),
        *("-sc_threshold", "0"),
        *("-fps_mode", "passthrough", "-enc_time_base", "1:90000"),
    ]


def _regular_keys(frames: int) -> list[str]:
    gop = str(frames)
    return ["-g", gop, "-keyint_min", gop, "-sc_threshold", "0"]


def _video_codec(rung: Rung) -> list[str]:
    return [
        *("-c:v", "libx264", "-preset", rung.coding.preset, "-profile:v", "high"),
        *("-x264-params", f"open-gop=0:{rung.coding.tuning}".rstrip(":"), "-crf", f"{rung.coding.crf:g}"),
        *("-maxrate", str(rung.max_bitrate), "-bufsize", str(2 * rung.max_bitrate)),
    ]


def _sound(plan: Plan, audio: AudioTrack) -> list[str]:
    if plan.copies_sound:
        return ["-map", f"0:{audio.index}", "-c:a", "copy"]
    return [
        *("-map", "[a]", "-c:a", "aac", "-profile:a", "aac_low", "-b:a", str(plan.profile.audio_bitrate)),
    ]


def _segments(plan: Plan, folder: str, rendition: str, names: str) -> list[str]:
    # Rounded down by less than a microsecond: a segment must not end one GOP late for a rounding error.
    length = int(plan.segment_duration * 1_000_000) / 1_000_000
    return [
        *_clean_metadata(),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(TIME_OFFSET)),
        *("-f", "hls", "-hls_time", f"{length:.6f}", "-hls_list_size", "0", "-hls_playlist_type", "vod"),
        *("-hls_flags", "independent_segments+temp_file"),
        *("-hls_segment_filename", f"file:{folder}/{rendition}/{names}"),
        f"{folder}/{rendition}/{_INDEX}",
    ]


def _picture() -> list[str]:
    return ["-q:v", "4", "-fps_mode", "vfr", "-f", "image2", "-update", "1"]


def _clean_metadata() -> list[str]:
    return ["-map_metadata", "-1", "-map_chapters", "-1"]
