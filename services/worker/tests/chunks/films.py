"""Films of 37 seconds, long enough for several chunks, of kinds that are difficult to cut exactly."""

from pathlib import Path

from services.worker.tests.clips import AAC, X264, Recipe, ffmpeg, make, picture, sound, written

SECONDS = 37
SIZE = "160x90"
_B_FRAMES = (*X264[:3], "veryfast", *X264[4:], "-bf", "3")


def _film(rate: str = "25") -> list[str]:
    return picture(SIZE, SECONDS, rate)


def constant(folder: Path) -> Path:
    """25 frames per second; key frames up to 10 s apart."""
    return make(folder / "constant.mp4", _film(), sound(SECONDS), codecs=[*_B_FRAMES, *AAC])


def ntsc(folder: Path) -> Path:
    return make(folder / "ntsc.mp4", _film("30000/1001"), codecs=[*_B_FRAMES, "-g", "60"])


def fifty(folder: Path) -> Path:
    """Frames lie between two points of a grid of 25 frames per second."""
    return make(folder / "fifty.mkv", _film("50"), codecs=[*_B_FRAMES, "-g", "100"])


def variable(folder: Path) -> Path:
    """Without every third frame, and without those from 6.5 s to 11.2 s and from 23 s to 26.1 s."""
    kept = "mod(n,3)*not(between(t,6.5,11.2))*not(between(t,23,26.1))"
    drop = ["-vf", f"select='{kept}'", "-fps_mode", "vfr"]
    return make(folder / "variable.mp4", _film(), codecs=[*drop, *_B_FRAMES, "-g", "40"])


def jittery(folder: Path) -> Path:
    """Every time differs by up to 15 ms from the grid, as telephones record."""
    moved = ["-vf", "settb=1/90000,setpts='PTS+1350*sin(N*N)'", "-fps_mode", "passthrough"]
    codecs = [*moved, *X264, "-g", "50", "-enc_time_base", "1:90000"]
    return make(folder / "jittery.mp4", _film(), codecs=codecs)


def edited(folder: Path) -> Path:
    """An edit list hides the first 1.3 s of a longer film."""
    tracks = picture(SIZE, SECONDS + 2), sound(SECONDS + 2)
    long = make(folder / "long.mp4", *tracks, codecs=[*_B_FRAMES, *AAC])
    path = folder / "edited.mp4"
    ffmpeg("-v", "error", "-ss", "1.3", "-i", str(long), "-c", "copy", str(path))
    return path


def late_picture(folder: Path) -> Path:
    """The sound begins 15 seconds before the picture."""
    inputs = ["-itsoffset", "15", *picture(SIZE, SECONDS - 15)], sound(SECONDS)
    return make(folder / "late_picture.mp4", *inputs, codecs=[*_B_FRAMES, "-g", "50", *AAC])


def late_broadcast(folder: Path) -> Path:
    """A transport stream whose clock begins at 100 s; a key frame every four seconds."""
    codecs = [*_B_FRAMES, "-g", "100", *AAC, "-output_ts_offset", "100"]
    return make(folder / "late.ts", _film(), sound(SECONDS), codecs=codecs)


def late_sound(folder: Path) -> Path:
    """A transport stream whose sound begins 0.7 s after the picture."""
    delayed = ["-itsoffset", "0.7", *sound(SECONDS)]
    return make(folder / "late_sound.ts", _film(), delayed, codecs=[*_B_FRAMES, "-g", "50", *AAC])


def program_stream(folder: Path) -> Path:
    codecs = ["-c:v", "mpeg2video", "-b:v", "1M", "-g", "60", "-c:a", "mp2"]
    return make(folder / "program.mpg", _film(), sound(SECONDS), codecs=codecs)


def open_groups(folder: Path) -> Path:
    """Frames before a key frame use it."""
    options = ["-x264-params", "open-gop=1:keyint=75:min-keyint=75:scenecut=0"]
    return make(folder / "open.mp4", _film(), codecs=[*_B_FRAMES, *options])


def open_broadcast(folder: Path) -> Path:
    path = folder / "open.ts"
    ffmpeg("-v", "error", "-i", str(open_groups(folder)), "-c", "copy", str(path))
    return path


def refreshed(folder: Path) -> Path:
    """The picture is refreshed column by column instead of by key frames."""
    options = ["-x264-params", "intra-refresh=1:keyint=50"]
    return make(folder / "refreshed.mkv", _film(), codecs=[*X264[:3], "veryfast", *X264[4:], *options])


def refreshed_broadcast(folder: Path) -> Path:
    path = folder / "refreshed.ts"
    ffmpeg("-v", "error", "-i", str(refreshed(folder)), "-c", "copy", str(path))
    return path


def fragmented(folder: Path) -> Path:
    path = folder / "fragmented.mp4"
    flags = ["-movflags", "frag_keyframe+empty_moov+default_base_moof"]
    ffmpeg("-v", "error", "-i", str(constant(folder)), "-c", "copy", *flags, str(path))
    return path


def two_clocks(folder: Path) -> Path:
    """A broadcast whose clock jumps ahead by an hour."""
    parts = [
        make(
            folder / f"clock{start}.ts",
            picture(SIZE, SECONDS / 2),
            codecs=[*X264, "-g", "50", "-output_ts_offset", str(start)],
        )
        for start in (0, 3600)
    ]
    return written(folder / "clocks.ts", b"".join(part.read_bytes() for part in parts))


def hevc(folder: Path) -> Path:
    """x265's usual groups, which are open."""
    codecs = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=60:bframes=3"]
    return make(folder / "hevc.mp4", _film(), codecs=codecs)


def hdr(folder: Path) -> Path:
    tags = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
    codecs = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=60"]
    return make(folder / "hdr.mp4", _film(), codecs=[*codecs, "-pix_fmt", "yuv420p10le", *tags])


def interlaced(folder: Path) -> Path:
    weave = ["-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", "-b:v", "1M"]
    return make(folder / "interlaced.ts", picture("160x96", SECONDS, "50"), codecs=[*weave, "-g", "25"])


def rotated(folder: Path) -> Path:
    path = folder / "rotated.mp4"
    ffmpeg("-v", "error", "-display_rotation:v:0", "90", "-i", str(constant(folder)), "-c", "copy", str(path))
    return path


def webm(folder: Path) -> Path:
    codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "80", "-c:a", "libopus"]
    return make(folder / "vp8.webm", _film("10"), sound(SECONDS), codecs=codecs)


def live_webm(folder: Path) -> Path:
    """A browser's recording: neither an index nor a duration."""
    path = folder / "live.webm"
    ffmpeg("-v", "error", "-i", str(webm(folder)), "-c", "copy", "-f", "webm", "-live", "1", str(path))
    return path


def shorter_picture(folder: Path) -> Path:
    """The sound ends five seconds after the picture."""
    return make(folder / "shorter.mp4", _film(), sound(SECONDS + 5), codecs=[*_B_FRAMES, *AAC])


def size_changes(folder: Path) -> Path:
    """A transport stream whose frame size changes at 17 s."""
    parts = []
    for number, (size, start, seconds) in enumerate((("160x90", 0, 17), ("120x90", 17, SECONDS - 17))):
        codecs = [*X264, "-g", "50", "-output_ts_offset", str(start)]
        parts.append(make(folder / f"part{number}.ts", picture(size, seconds), codecs=codecs).read_bytes())
    return written(folder / "changes.ts", b"".join(parts))


#: Kinds that can be divided, the most difficult ones first.
KINDS: tuple[Recipe, ...] = (
    constant,
    variable,
    late_broadcast,
    late_sound,
    ntsc,
    fifty,
    jittery,
    edited,
    late_picture,
    program_stream,
    open_groups,
    open_broadcast,
    hevc,
    hdr,
    interlaced,
    rotated,
    webm,
    shorter_picture,
    size_changes,
)
#: Kinds whose sound begins before or after the picture.
HEARD: tuple[Recipe, ...] = (late_sound, late_broadcast, late_picture, program_stream, edited, webm)
#: Kinds that cannot be sought.
WHOLE: tuple[Recipe, ...] = (refreshed, fragmented, live_webm, refreshed_broadcast, two_clocks)
