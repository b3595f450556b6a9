"""Files with additional, empty or partial tracks."""

from pathlib import Path

from .media import AAC, X264, ffmpeg, make, picture, sound, written
from .unusual import plain


def _muted(folder: Path, suffix: str, *codecs: str) -> Path:
    """Declares an audio track without samples, as a muted microphone does."""
    whole = make(folder / f"whole{suffix}", picture(), sound(), codecs=codecs or (*X264, *AAC))
    path = folder / f"muted{suffix}"
    ffmpeg("-i", str(whole), "-map", "0", "-c", "copy", "-bsf:a", "noise=drop=1", str(path))
    return path


def muted_mkv(folder: Path) -> Path:
    return _muted(folder, ".mkv")


def muted_webm(folder: Path) -> Path:
    return _muted(folder, ".webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")


def muted_mp4(folder: Path) -> Path:
    return _muted(folder, ".mp4")


def muted_ts(folder: Path) -> Path:
    return _muted(folder, ".ts")


def muted_flv(folder: Path) -> Path:
    """The header declares audio, but no packet has any."""
    path = make(folder / "silent.flv", picture(), codecs=X264)
    data = bytearray(path.read_bytes())
    data[4] |= 0b100
    return written(folder / "muted.flv", bytes(data))


def no_picture_in_its_track(folder: Path) -> Path:
    path = folder / "empty.mkv"
    ffmpeg("-i", str(plain(folder)), "-map", "0", "-c", "copy", "-bsf:v", "noise=drop=1", str(path))
    return path


def _with_thumbnail(folder: Path, suffix: str) -> Path:
    still = make(folder / "still.mkv", picture("160x90", 0.04), codecs=["-c:v", "mjpeg"])
    path = folder / f"thumbnail{suffix}"
    tracks = ["-map", "0:v", "-map", "1", "-c", "copy", "-disposition:v:0", "default"]
    ffmpeg("-i", str(still), "-i", str(plain(folder)), *tracks, str(path))
    return path


def thumbnail_first_mp4(folder: Path) -> Path:
    return _with_thumbnail(folder, ".mp4")


def thumbnail_first_mkv(folder: Path) -> Path:
    return _with_thumbnail(folder, ".mkv")


def _two_sounds(folder: Path, suffix: str, *dispositions: str) -> Path:
    """Two audio tracks: tones of 300 Hz and 900 Hz."""
    tones = [f"sine=frequency={tone}:duration=2:sample_rate=48000" for tone in (300, 900)]
    inputs = [word for tone in tones for word in ("-f", "lavfi", "-i", tone)]
    tracks = ["-map", "0", "-map", "1", "-map", "2", *dispositions]
    return make(folder / f"sounds{suffix}", picture(), inputs, codecs=[*tracks, *X264, *AAC])


def description_first_ts(folder: Path) -> Path:
    return _two_sounds(folder, ".ts", "-disposition:a:0", "visual_impaired+descriptions")


def description_first_mkv(folder: Path) -> Path:
    return _two_sounds(folder, ".mkv", "-disposition:a:0", "visual_impaired+default")


def commentary_first_mkv(folder: Path) -> Path:
    return _two_sounds(folder, ".mkv", "-disposition:a:0", "comment")


def commentary_by_title_mkv(folder: Path) -> Path:
    title = ["-metadata:s:a:0", "title=Director's Commentary", "-disposition:a:1", "0"]
    return _two_sounds(folder, ".mkv", *title)


def default_second_mkv(folder: Path) -> Path:
    return _two_sounds(folder, ".mkv", "-disposition:a:0", "0", "-disposition:a:1", "default")


def _mid_group(folder: Path, suffix: str, *codec: str) -> Path:
    """A capture that starts inside a long GOP: its first key frame comes after 22 s."""
    keys = ["-force_key_frames", "0,23", "-g", "9999", "-sc_threshold", "0", "-bf", "0"]
    codecs = [*(codec or X264), *keys]
    whole = make(folder / "whole.ts", picture("64x48", 26, "30"), codecs=codecs)
    data = whole.read_bytes()
    cut = written(folder / "cut.ts", data[len(data) // 12 // 188 * 188 :])
    if suffix == ".ts":
        return cut
    path = folder / f"cut{suffix}"
    ffmpeg("-fflags", "+genpts", "-copyts", "-i", str(cut), "-c", "copy", str(path))
    return path


def mid_group_ts(folder: Path) -> Path:
    return _mid_group(folder, ".ts")


def mid_group_mpeg2_ts(folder: Path) -> Path:
    return _mid_group(folder, ".ts", "-c:v", "mpeg2video")


def mid_group_hevc_ts(folder: Path) -> Path:
    return _mid_group(
        folder, ".ts", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"
    )
