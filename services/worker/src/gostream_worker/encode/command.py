"""Builds the arguments of ffmpeg as a pure function of the plan.

Every argument is generated: the source has a generated URL, and no user input is passed.
"""

from gostream_worker.encode.loudness import meter
from gostream_worker.encode.picture_graphs import filter_graph, source_graph
from gostream_worker.encode.sound_filters import sound_graphs, sound_label, sound_shift
from gostream_worker.object_names import LEVELS, POSTER, SEGMENTS, SHEET, TILES, attempted, text_copy
from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.plan import BUFFER_SECONDS, Plan, Rung
from gostream_worker.plan.storyboard import chunk_tiles, plan_storyboard, poster_frames
from gostream_worker.probe.mp4.whole_part import part_of
from gostream_worker.probe.timing.timeline import USUAL_LIMIT, pause_limit
from gostream_worker.sandbox.allowlist import (
    AUDIO_DECODERS,
    CONTAINERS,
    MAX_PIXELS,
    VIDEO_DECODERS,
    is_served,
    protocols,
)

#: Start time in seconds of every output. With B-frames decoding begins before the first picture is shown, and
#: a start at zero would shift each rung by its own delay.
TIME_OFFSET = 10
#: Containers whose clock may jump.
_STREAMS = ("mpegts", "mpeg")
_INDEX = "index.m3u8"  # ffmpeg's playlist, which is not published


def encode_arguments(plan: Plan, *, source: str, folder: str, attempt: int = 1) -> list[str]:
    """Returns the arguments that encode the source in one process, with outputs below `folder`/."""
    return chunk_arguments(plan, WHOLE, source=source, folder=folder, attempt=attempt)


def chunk_arguments(plan: Plan, chunk: Chunk, *, source: str, folder: str, attempt: int = 1) -> list[str]:
    """Returns the arguments that encode a chunk of the plan, with outputs below `folder`/.

    Segments have the numbers and the timestamps that they have in the film. The other outputs are copies of
    text tracks with the sounds, the storyboard's tiles in the chunk, and a poster if the chunk is one of
    `poster_chunks`. A whole film has a sheet instead of tiles.
    """
    names = attempted(SEGMENTS, attempt)
    arguments = [*_process_options(), *_input_options(plan, source, chunk), *_demuxer_options(plan, source)]
    arguments += [*_start(plan, chunk), *_until(plan)]
    arguments += ["-i", part_of(source, plan.whole_bytes) if plan.whole_bytes else source]
    for graph in _graphs(plan, chunk, folder):
        arguments += ["-filter_complex", graph]
    if chunk.has_picture:
        arguments += _pictures(plan, chunk, folder, names)
    if chunk.has_sound:
        arguments += _sounds(plan, folder, names)
    if chunk.has_picture:
        arguments += _thumbnails(plan, chunk, folder)
    return [*arguments, *_unused_tracks(plan, chunk)]


def sheet_arguments(plan: Plan, *, folder: str) -> list[str]:
    """Returns the arguments that lay the tiles of all chunks, in `folder`/, on the storyboard's sheet."""
    board = plan_storyboard(plan)
    return [
        *_process_options(),
        *("-protocol_whitelist", "file", "-format_whitelist", "image2", "-codec_whitelist", "png,mjpeg"),
        *("-f", "image2", "-start_number", "0", "-i", f"file:{folder}/{TILES}"),
        *("-vf", f"tile={board.columns}x{board.rows}", *_clean_metadata(), *_picture()),
        f"file:{folder}/{SHEET}",
    ]


def source_graphs(plan: Plan, *, folder: str = ".") -> list[str]:
    """Returns the filter graphs that normalise the source's picture and sound.

    A copied picture does not change, and its frames have individual durations that a graph would not
    preserve.
    """
    return [*([] if plan.copied else [source_graph(plan)]), *_sound_graphs(plan, folder)]


def _graphs(plan: Plan, chunk: Chunk, folder: str) -> list[str]:
    if chunk.kind is ChunkKind.WHOLE:
        return [*source_graphs(plan, folder=folder), filter_graph(plan)]
    if chunk.has_picture:
        return [source_graph(plan), filter_graph(plan, chunk)]
    return _sound_graphs(plan, folder)


def _sound_graphs(plan: Plan, folder: str) -> list[str]:
    graphs = []
    shift = 0 if plan.copied else sound_shift(plan)
    levels = meter(f"{folder}/{LEVELS}", plan.duration)
    for number, sound in enumerate(plan.sounds):
        if not sound.is_copied:
            report = "" if number else levels
            cut = plan.clip.sound_filters if plan.clip else ""
            graphs += sound_graphs(
                sound.audio, shift=shift, number=number, gain=sound.gain, report=report, cut=cut
            )
        elif number == 0:
            graphs += [f"[0:{sound.audio.index}]{levels}[heard]"]
    return graphs


def _start(plan: Plan, chunk: Chunk) -> list[str]:
    """Returns the options that begin to decode before a chunk of picture, with the film's timestamps.

    Without the film's timestamps, frames between two points of the frame grid would be rounded differently.
    The frame before the chunk may last into it, so frames before the sought time are not dropped.
    """
    if chunk.kind is not ChunkKind.PICTURE:
        return []
    at = float(chunk.start_frame / plan.fps) - (plan.preroll or 0.0)
    seek = ["-noaccurate_seek", "-ss", f"{at:.6f}"] if at > 0 else []
    return ["-copyts", "-start_at_zero", *seek]


def _starts_with_used(plan: Plan) -> bool:
    """Returns whether ffmpeg's time begins with the first of the used tracks instead of with all tracks."""
    return plan.container in _STREAMS


def _unused_tracks(plan: Plan, chunk: Chunk) -> list[str]:
    """Returns outputs that use tracks of other chunks, if all chunks have the same time only by them."""
    if not _starts_with_used(plan):
        return []
    others = [] if chunk.has_picture else [(plan.video.index, "v")]
    if not chunk.has_sound:
        others += [(sound.audio.index, "a") for sound in plan.sounds]
        others += [(text.index, "s") for text in plan.texts]
    nothing = ["-c", "copy", "-f", "null"]
    return [
        word
        for index, kind in others
        for word in ("-map", f"0:{index}", *nothing, f"-frames:{kind}", "1", "-")
    ]


def _pictures(plan: Plan, chunk: Chunk, folder: str, names: str) -> list[str]:
    arguments = []
    first = chunk.start_frame // plan.segment_frames
    for number, rung in enumerate(plan.rungs):
        is_copied = number == 0 and plan.copied
        picture = _copied_picture(plan) if is_copied else _encoded_picture(plan, number)
        arguments += [*picture, *_segments(plan, folder, rung.name, names, first=first)]
    return arguments


def _sounds(plan: Plan, folder: str, names: str) -> list[str]:
    arguments = []
    for number, sound in enumerate(plan.sounds):
        arguments += [*_sound(plan, number), *_segments(plan, folder, sound.folder, names)]
        if sound.is_copied:  # decoded as well, because a copy does not report damage
            heard = f"0:{sound.audio.index}" if number else "[heard]"
            arguments += ["-map", heard, "-f", "null", "-"]
    for text in plan.texts:
        copied = ["-map", f"0:{text.index}", "-c:s", "copy", "-f", text.container]
        arguments += [*copied, *_clean_metadata(), f"file:{folder}/{text_copy(text.folder)}"]
    return arguments


def _thumbnails(plan: Plan, chunk: Chunk, folder: str) -> list[str]:
    if chunk.kind is ChunkKind.WHOLE:
        return [*_still("poster", f"{folder}/{POSTER}"), *_still("storyboard", f"{folder}/{SHEET}")]
    poster = _still("poster", f"{folder}/{POSTER}") if poster_frames(plan, chunk) else []
    tiles = chunk_tiles(plan, chunk)
    if not tiles:
        return poster
    numbered = ["-fps_mode", "passthrough", "-f", "image2", "-start_number", str(tiles.start)]
    coded = ["-map", "[tiles]", *_clean_metadata(), "-c:v", "png", *numbered]
    return [*poster, *coded, f"file:{folder}/{TILES}"]


def _still(pad: str, path: str) -> list[str]:
    return ["-map", f"[{pad}]", *_clean_metadata(), *_picture(), f"file:{path}"]


def _process_options() -> list[str]:
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"),
        *("-progress", "pipe:1", "-stats_period", "0.5", "-y"),
    ]


def _input_options(plan: Plan, source: str, chunk: Chunk) -> list[str]:
    """Returns the allow-lists of protocols, demuxers and decoders, and the size limit."""
    by = protocols(source, is_part=bool(plan.whole_bytes))
    unused = ["-dn"]
    unused += [] if plan.texts and (chunk.has_sound or _starts_with_used(plan)) else ["-sn"]
    unused += [] if chunk.has_picture or _starts_with_used(plan) else ["-vn"]
    unused += [] if chunk.has_sound or _starts_with_used(plan) else ["-an"]
    return [
        *("-protocol_whitelist", ",".join(by), "-format_whitelist", ",".join(CONTAINERS)),
        *("-codec_whitelist", ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS))),
        # Otherwise decoders crop only at multiples of their vector size.
        *("-max_pixels", str(MAX_PIXELS), "-flags", "unaligned", *unused),
    ]


def _demuxer_options(plan: Plan, source: str) -> list[str]:
    edits = ["-ignore_editlist", "1"] if plan.ignores_edits else []
    # Otherwise ffmpeg searches all fragments before it decodes the first one, which fetches the whole source.
    onwards = ["-fflags", "+ignidx"] if plan.is_fragmented and is_served(source) else []
    # Packets before the first key frame may be most of the film.
    leading = ["-max_error_rate", "1"] if plan.video.leading else []
    # ffmpeg checks each track separately: a pause of one track must not count as a clock jump.
    pause = plan.longest_pause > USUAL_LIMIT
    clock = ["-dts_delta_threshold", str(pause_limit(plan.longest_pause))] if pause else []
    return [*edits, *onwards, *leading, *clock]


def _until(plan: Plan) -> list[str]:
    """Returns the options that end a clip's input: a little later than its last frame, which filters find."""
    return ["-t", f"{float(plan.clip.end) + 1:.3f}"] if plan.clip else []


def _copied_picture(plan: Plan) -> list[str]:
    return ["-map", f"0:{plan.video.index}", "-c:v", "copy"]


def _encoded_picture(plan: Plan, number: int) -> list[str]:
    keys = _keys_of_the_source() if plan.copied else _regular_keys(plan.gop_frames)
    rung = plan.rungs[number]
    return ["-map", f"[v{number}]", *_video_codec(rung), "-threads", str(rung.threads), *keys]


def _keys_of_the_source() -> list[str]:
    """Places key frames only at the source's key frames, with the timestamps that a copy has."""
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
        *("-maxrate", str(rung.max_bitrate), "-bufsize", str(BUFFER_SECONDS * rung.max_bitrate)),
    ]


def _sound(plan: Plan, number: int) -> list[str]:
    sound = plan.sounds[number]
    until = [] if sound.cut_at is None else ["-t", f"{sound.cut_at:.3f}"]
    if sound.is_copied:
        return ["-map", f"0:{sound.audio.index}", "-c:a", "copy", *until]
    rate = str(plan.profile.audio_bitrate)
    coded = ["-c:a", "aac", "-profile:a", "aac_low", "-b:a", rate]
    return ["-map", f"[{sound_label(number)}]", *coded, *until]


def _segments(plan: Plan, folder: str, rendition: str, names: str, *, first: int = 0) -> list[str]:
    # Rounded down by less than a microsecond, so that a rounding error does not end a segment one GOP late.
    length = int(plan.segment_duration * 1_000_000) / 1_000_000
    return [
        *_clean_metadata(),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(TIME_OFFSET)),
        *("-f", "hls", "-hls_time", f"{length:.6f}", "-hls_list_size", "0", "-hls_playlist_type", "vod"),
        *(["-start_number", str(first)] if first else []),
        *("-hls_flags", "independent_segments+temp_file"),
        *("-hls_segment_filename", f"file:{folder}/{rendition}/{names}"),
        f"{folder}/{rendition}/{_INDEX}",
    ]


def _picture() -> list[str]:
    return ["-q:v", "4", "-fps_mode", "vfr", "-f", "image2", "-update", "1"]


def _clean_metadata() -> list[str]:
    return ["-map_metadata", "-1", "-map_chapters", "-1"]
