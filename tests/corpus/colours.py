"""Colours that only the container declares, and colours that need a special conversion."""

import struct
from pathlib import Path

from .boxes import insert
from .media import X264, make, picture, remux, written

_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
_TEN_BIT = ("-pix_fmt", "yuv420p10le")
_PQ, _HLG = "smpte2084", "arib-std-b67"


def _labelled(transfer: str) -> str:
    return f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"


def hlg_in_the_stream(folder: Path) -> Path:
    """What `hlg_by_the_container` must look like."""
    codecs = ["-vf", _labelled(_HLG), *_X265, *_TEN_BIT]
    return make(folder / "hlg.mov", picture(seconds=1), codecs=codecs)


def hlg_by_the_container(folder: Path) -> Path:
    """The stream has no colours, the box `colr` has all three."""
    plain = make(folder / "plain.mov", picture(seconds=1), codecs=[*_X265, *_TEN_BIT])
    tags = ["-color_trc", _HLG, "-color_primaries", "bt2020", "-colorspace", "bt2020nc"]
    return remux(plain, folder / "colr.mov", *tags, "-movflags", "+write_colr", "-tag:v", "hvc1")


def _dolby_vision(folder: Path, profile: int, compatibility: int) -> Path:
    """A configuration box in the sample entry, and the entry's own name."""
    codecs = [*_X265, *_TEN_BIT, "-tag:v", "hvc1"]
    data = make(folder / "film.mp4", picture("96x64", 1), codecs=codecs).read_bytes()
    at = data.rindex(b"hvcC") - 4
    content = bytes([1, 0, profile << 1, 1 << 3 | 0b101, compatibility << 4]) + bytes(19)
    with_box = bytearray(insert(data, at, struct.pack(">I4s", 8 + len(content), b"dvcC") + content))
    if not compatibility:
        entry = with_box.rindex(b"hvc1")
        with_box[entry : entry + 4] = b"dvh1"
    return written(folder / "dolby.mp4", bytes(with_box))


def dolby_vision_alone(folder: Path) -> Path:
    """Profile 5: its samples are no YCbCr."""
    return _dolby_vision(folder, 5, 0)


def dolby_vision_on_sdr(folder: Path) -> Path:
    """Profile 8.2: the base layer is an ordinary picture."""
    return _dolby_vision(folder, 8, 2)


def ycgco(folder: Path) -> Path:
    convert = "scale,format=gbrp,zscale=m=ycgco,format=yuv420p"
    codecs = ["-vf", convert, *X264, "-x264-params", "colormatrix=YCgCo"]
    return make(folder / "ycgco.mp4", picture(seconds=1), codecs=codecs)


def constant_luminance(folder: Path) -> Path:
    convert = "format=gbrp,zscale=p=bt2020:t=2020_10:m=bt2020c:pin=bt709:tin=bt709,format=yuv420p10le"
    tags = "log-level=none:colormatrix=bt2020c:colorprim=bt2020:transfer=bt2020-10"
    codecs = ["-vf", convert, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", tags]
    return make(folder / "constant.mp4", picture(seconds=1), codecs=codecs)


def hdr_prores(folder: Path) -> Path:
    codecs = ["-vf", _labelled(_PQ), "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"]
    return make(folder / "hdr.mov", picture(seconds=0.4), codecs=codecs)


def hdr_vp9(folder: Path) -> Path:
    vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-profile:v", "2"]
    codecs = ["-vf", _labelled(_PQ), *vp9, *_TEN_BIT]
    return make(folder / "hdr.webm", picture(seconds=0.4), codecs=codecs)


def hdr_444(folder: Path) -> Path:
    codecs = ["-vf", _labelled(_HLG), *_X265, "-pix_fmt", "yuv444p10le"]
    return make(folder / "hdr.mp4", picture(seconds=0.4), codecs=codecs)


def hdr_by_formula(folder: Path) -> Path:
    """What `hdr_rgb` must look like: the same colours, in the samples that are usual."""
    convert = f"format=gbrp10le,zscale=m=bt2020nc:min=gbr,format=yuv420p10le,{_labelled(_PQ)}"
    return make(folder / "usual.mkv", picture(seconds=0.4), codecs=["-vf", convert, *_X265, *_TEN_BIT])


def hdr_rgb(folder: Path) -> Path:
    tags = f"setparams=color_primaries=bt2020:color_trc={_PQ}:colorspace=gbr"
    codecs = ["-vf", f"format=gbrp10le,{tags}", *_X265, "-pix_fmt", "gbrp10le"]
    return make(folder / "rgb.mkv", picture(seconds=0.4), codecs=codecs)


def dark_pq(folder: Path) -> Path:
    """One nit and less."""
    return _grey(folder, _PQ, 64 + 140)


def bright_pq(folder: Path) -> Path:
    """Ten thousand nits."""
    return _grey(folder, _PQ, 940)


def bright_hlg(folder: Path) -> Path:
    return _grey(folder, _HLG, 940)


def _grey(folder: Path, transfer: str, level: int) -> Path:
    """One level of ten bits all over."""
    even = f"format=yuv420p10le,lutyuv=y={level}:u=512:v=512,{_labelled(transfer)}"
    codecs = ["-vf", even, *_X265, *_TEN_BIT]
    return make(folder / "grey.mkv", picture("96x64", 0.4, pattern="color"), codecs=codecs)
