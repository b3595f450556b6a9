"""Files whose headers or clocks do not match their picture and sound."""

from pathlib import Path

from .clips import AAC, X264, ffmpeg, make, picture, sound, written


def late_matroska(folder: Path) -> Path:
    """Timestamps start at 100 s; the header gives the end."""
    return make(
        folder / "late.mkv",
        picture(seconds=3),
        sound(3),
        codecs=[*X264, *AAC, "-output_ts_offset", "100"],
    )


def late_live_webm(folder: Path) -> Path:
    """A part of a recording: timestamps start at 100 s and the header has no duration."""
    path = folder / "late.webm"
    live = ["-copyts", "-i", str(late_matroska(folder)), "-c", "copy", "-f", "matroska", "-live", "1"]
    ffmpeg("-v", "error", *live, str(path))
    return path


def longer_subtitles(folder: Path) -> Path:
    """The last subtitle is shown at one minute."""
    text, path = folder / "lines.srt", folder / "subtitled.mkv"
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n2\n00:01:00,000 --> 00:01:02,000\nEnd\n")
    tracks = ["-map", "0", "-map", "1", "-map", "2", *X264, "-g", "25", *AAC, "-c:s", "srt"]
    return make(path, picture(seconds=3), sound(3), ["-i", str(text)], codecs=tracks)


def longer_second_sound(folder: Path) -> Path:
    tracks = ["-map", "0", "-map", "1", "-map", "2", *X264, *AAC]
    return make(folder / "commented.mp4", picture(seconds=3), sound(3), sound(40), codecs=tracks)


def clock_ahead(folder: Path) -> Path:
    """A broadcast of two parts; the clock jumps by an hour between them."""
    return written(folder / "ahead.ts", _part(folder) + _part(folder, 3600))


def clock_back(folder: Path) -> Path:
    return written(folder / "back.ts", _part(folder, 3600) + _part(folder))


def clock_again_and_again(folder: Path) -> Path:
    """The same part twenty times: the last timestamp is no later than the first."""
    return written(folder / "again.ts", _part(folder) * 20)


def _part(folder: Path, start: int = 0) -> bytes:
    """1.5 s of a broadcast."""
    codecs = [*X264, *AAC, "-output_ts_offset", str(start)]
    return make(folder / f"{start}.ts", picture(seconds=1.5), sound(1.5), codecs=codecs).read_bytes()


def cut_matroska_with_subtitles(folder: Path) -> Path:
    whole = longer_subtitles(folder).read_bytes()
    return written(folder / "half.mkv", whole[: len(whole) // 2])


def cover(folder: Path) -> Path:
    """One frame, and more audio frames than the probe reads."""
    path = folder / "cover.mp4"
    inputs = ["-i", str(_one_picture(folder)), *sound(12)]
    ffmpeg("-v", "error", *inputs, "-c:v", "copy", *AAC, str(path))
    return path


def cover_in_matroska(folder: Path) -> Path:
    path = folder / "cover.mkv"
    ffmpeg("-v", "error", "-i", str(cover(folder)), "-c", "copy", str(path))
    return path


def recording_of_a_still_screen(folder: Path) -> Path:
    """A browser's recording: no duration, and frames only while the screen changes."""
    path = folder / "screen.webm"
    codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    return make(path, picture(seconds=2), sound(12), codecs=[*codecs, "-live", "1"])


def late_picture(folder: Path) -> Path:
    """The picture starts after more audio frames than the probe reads."""
    late = ["-itsoffset", "11", *picture(seconds=1)]
    return make(folder / "late.mp4", late, sound(12))


def stale_tag(folder: Path) -> Path:
    """A tag declares one second for a picture of three."""
    path = make(folder / "whole.mkv", picture(seconds=3), sound(3))
    whole, said = path.read_bytes(), b"00:00:03.000000000"
    assert said in whole
    return written(folder / "stale.mkv", whole.replace(said, said.replace(b"3", b"1"), 1))


def cut_cover(folder: Path) -> Path:
    whole = cover_in_matroska(folder).read_bytes()
    return written(folder / "half-cover.mkv", whole[: len(whole) // 2])


def _one_picture(folder: Path) -> Path:
    codecs = ["-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"]  # the decoder delays frames
    return make(folder / "one.mkv", picture(seconds=0.04), codecs=codecs)
