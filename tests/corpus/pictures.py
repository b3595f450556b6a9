"""Pictures that are cropped, turned, woven, refreshed or shaped in unusual ways."""

from pathlib import Path

from .media import X264, ffmpeg, make, picture, remux, written
from .unusual import silent

_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_BARRED = "pad=320:240:0:30"


def barred_picture(folder: Path) -> Path:
    """320×240, of which the lines above and below are black: what some of the others crop."""
    return make(folder / "barred.mp4", picture(seconds=1), codecs=["-vf", _BARRED, *X264])


def cropped_matroska(folder: Path) -> Path:
    """PixelCropTop and PixelCropBottom, in the place of the size to show it in."""
    barred = make(folder / "barred.mkv", picture(seconds=1), codecs=["-vf", _BARRED, *X264])
    data = bytearray(remux(barred, folder / "whole.mkv", "-aspect", "16:9").read_bytes())
    for shown, crop in ((b"\x54\xb0", b"\x54\xbb"), (b"\x54\xba", b"\x54\xaa")):
        at = data.index(shown)
        size = data[at + 2] & 0x7F
        data[at : at + 2] = crop
        data[at + 3 : at + 3 + size] = (30).to_bytes(size, "big")
    return written(folder / "cropped.mkv", bytes(data))


def odd_crop(folder: Path) -> Path:
    """18 columns are cut off at the left by the parameter set: no multiple of what decoders align to."""
    return remux(silent(folder), folder / "crop.mp4", "-bsf:v", "h264_metadata=crop_left=18")


def odd_crop_in_ts(folder: Path) -> Path:
    """The same, in a container whose pictures are always encoded."""
    return remux(silent(folder), folder / "crop.ts", "-bsf:v", "h264_metadata=crop_left=30")


def evenly_cropped_by_30(folder: Path) -> Path:
    return make(folder / "even.mp4", picture(), codecs=["-vf", "crop=290:180:30:0", *X264])


def evenly_cropped(folder: Path) -> Path:
    """The same picture, without those columns in the file."""
    return make(folder / "even.mp4", picture(), codecs=["-vf", "crop=302:180:18:0", *X264])


def _moving(seconds: float, fps: str = "25") -> list[str]:
    """Upright bars that move to the side: two fields woven into one picture show combs."""
    [*_, bars] = picture("352x288", seconds, fps, "smptebars")
    return ["-f", "lavfi", "-i", f"{bars},scroll=h=0.01"]


def interlaced_later(folder: Path) -> Path:
    """A second of progressive frames in a stream that may hold fields, then fields."""
    weave = "tinterlace=interleave_top,setfield=tff"
    first = [*_H264, "-x264-params", "fake-interlaced=1", "-g", "25"]
    second = ["-vf", weave, *_H264, "-flags", "+ildct+ilme", "-output_ts_offset", "1"]
    parts = [
        make(folder / "first.ts", _moving(1), codecs=first),
        make(folder / "second.ts", _moving(2, "50"), codecs=second),
    ]
    return written(folder / "later.ts", b"".join(part.read_bytes() for part in parts))


def unflagged_combs(folder: Path) -> Path:
    """Woven fields that are called progressive, as old captures have them."""
    weave = ["-vf", "tinterlace=interleave_top,setfield=prog", "-c:v", "mpeg2video", "-b:v", "4M"]
    return make(folder / "combs.mpg", _moving(2, "50"), codecs=weave)


def unflagged_combs_bottom_first(folder: Path) -> Path:
    weave = ["-vf", "tinterlace=interleave_bottom,setfield=prog", "-c:v", "mpeg2video", "-b:v", "4M"]
    return make(folder / "combs.ts", _moving(2, "50"), codecs=weave)


def turned_by_sei(folder: Path) -> Path:
    """The display orientation stands in the stream, not in the container."""
    return remux(
        silent(folder), folder / "turned.ts", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"
    )


def turned_in_matroska(folder: Path) -> Path:
    path = folder / "turned.mkv"
    ffmpeg("-display_rotation:v:0", "90", "-i", str(silent(folder)), "-c", "copy", str(path))
    return path


def intra_refresh(folder: Path) -> Path:
    """One key frame at the start, then a column of intra blocks that wanders."""
    codecs = [*_H264, "-x264-params", "intra-refresh=1:keyint=25"]
    return make(folder / "refresh.ts", picture(), codecs=codecs)


def odd_mjpeg(folder: Path) -> Path:
    codecs = ["-c:v", "mjpeg", "-pix_fmt", "yuvj422p"]
    return make(folder / "odd.avi", picture("321x181", 1), codecs=codecs)


def odd_mjpeg_444(folder: Path) -> Path:
    codecs = ["-c:v", "mjpeg", "-pix_fmt", "yuvj444p"]
    return make(folder / "odd.mov", picture("175x145", 1), codecs=codecs)


def _dv(folder: Path, name: str, size: str, fps: str, pixels: str) -> Path:
    return make(folder / name, picture(size, 1, fps), codecs=["-c:v", "dvvideo", "-pix_fmt", pixels])


def dv_pal(folder: Path) -> Path:
    return _dv(folder, "pal.avi", "720x576", "25", "yuv420p")


def dv_ntsc(folder: Path) -> Path:
    return _dv(folder, "ntsc.mov", "720x480", "30000/1001", "yuv411p")


def tall(folder: Path) -> Path:
    """A telephone's whole screen."""
    return make(folder / "tall.mp4", picture("1080x2340", 0.4, "5"), codecs=X264)


def very_wide(folder: Path) -> Path:
    """A panorama of several cameras."""
    return make(folder / "wide.mp4", picture("8000x1000", 0.4, "5"), codecs=X264)


def captioned(folder: Path) -> Path:
    """CEA-608 in front of every picture, as ATSC carries it (GA94)."""
    codecs = [*X264, "-x264-params", "aud=1", "-f", "h264"]
    raw = make(folder / "film.264", picture(seconds=1), codecs=codecs).read_bytes()
    pair = b"\xfc\x94\x2c"
    user_data = b"\xb5\x00\x31GA94\x03\x41\xff" + pair + b"\xff"
    message = b"\x00\x00\x00\x01\x06\x04" + bytes([len(user_data)]) + user_data + b"\x80"
    begin, *pictures = raw.split(b"\x00\x00\x00\x01\x09")
    parts = [b"\x00\x00\x00\x01\x09" + picture[:1] + message + picture[1:] for picture in pictures]
    spoken = written(folder / "captions.264", begin + b"".join(parts))
    path = folder / "captions.ts"
    ffmpeg("-r", "25", "-f", "h264", "-i", str(spoken), "-c", "copy", str(path))
    return path
