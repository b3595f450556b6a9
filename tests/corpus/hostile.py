"""Hostile files: they refer to other files, exhaust resources, or fake their type."""

import random
import struct
from pathlib import Path

from .boxes import descend, insert_alias
from .media import AAC, X264, ffmpeg, make, picture, remux, sound, written
from .unusual import plain, silent

#: A valid video to which hostile files refer. No process may open it.
CANARY = "canary.ts"
#: The metadata address at which clouds serve credentials.
METADATA = "http://169.254.169.254/latest/meta-data/"


def _canary(folder: Path) -> Path:
    return make(folder / CANARY, picture(seconds=1), codecs=X264)


def empty(folder: Path) -> Path:
    return written(folder / "empty.mp4", b"")


def one_byte(folder: Path) -> Path:
    return written(folder / "one.mp4", b"\0")


def random_bytes(folder: Path) -> Path:
    return written(folder / "random.mp4", random.Random(1).randbytes(4096))


def zeros(folder: Path) -> Path:
    return written(folder / "zeros.mp4", bytes(65536))


def text(folder: Path) -> Path:
    return written(folder / "text.mp4", b"This is not a video.\n" * 50)


def xml(folder: Path) -> Path:
    return written(folder / "page.mp4", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')


def _playlist(folder: Path, uri: str, before: bytes = b"") -> Path:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", uri, "#EXT-X-ENDLIST", ""]
    return written(folder / "playlist.mp4", before + "\n".join(lines).encode())


def playlist_of_a_file(folder: Path) -> Path:
    return _playlist(folder, f"file://{_canary(folder)}")


def playlist_of_a_neighbour(folder: Path) -> Path:
    _canary(folder)
    return _playlist(folder, CANARY)


def playlist_of_metadata(folder: Path) -> Path:
    return _playlist(folder, METADATA)


def playlist_of_concat(folder: Path) -> Path:
    return _playlist(folder, f"concat:{_canary(folder)}|{_canary(folder)}")


def playlist_behind_blank_lines(folder: Path) -> Path:
    return _playlist(folder, f"file://{_canary(folder)}", b"\n \n")


def playlist_behind_a_title(folder: Path) -> Path:
    """A title precedes the playlist's signature."""
    return _playlist(folder, f"file://{_canary(folder)}", b"# a film\n")


def concat_list(folder: Path) -> Path:
    return written(
        folder / "list.mp4", f"ffconcat version 1.0\nfile '{_canary(folder)}'\nduration 1\n".encode()
    )


def session_description(folder: Path) -> Path:
    lines = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\n"
    return written(folder / "session.mp4", lines.encode())


def dash_manifest(folder: Path) -> Path:
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>'
        '<AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1">'
        f"<BaseURL>file://{_canary(folder)}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    return written(folder / "manifest.mp4", manifest.encode())


def png(folder: Path) -> Path:
    return _still(folder / "still.png")


def jpeg(folder: Path) -> Path:
    return _still(folder / "still.jpg")


def gif(folder: Path) -> Path:
    return make(folder / "moving.gif", picture(seconds=1), codecs=())


def _still(path: Path) -> Path:
    ffmpeg(*picture(), "-frames:v", "1", "-update", "1", str(path))
    return path


def subrip(folder: Path) -> Path:
    return written(folder / "words.mp4", b"1\n00:00:00,000 --> 00:00:01,000\nHello\n")


def web_vtt(folder: Path) -> Path:
    return written(folder / "words.mp4", b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n")


def ass_script(folder: Path) -> Path:
    return written(folder / "words.mp4", b"[Script Info]\nScriptType: v4.00+\n\n[Events]\n" * 20)


def wave(folder: Path) -> Path:
    return make(folder / "sound.wav", sound(), codecs=())


def gab2_avi(folder: Path) -> Path:
    """An AVI whose subtitles are a playlist of another file: the attack of 2017."""
    path = make(
        folder / "gab2.avi", picture(), sound(1, 8000, "mono"), codecs=["-c:v", "mpeg4", "-c:a", "pcm_u8"]
    )
    data = bytearray(path.read_bytes())
    header = data.index(b"auds")
    data[header : header + 8] = b"txts\0\0\0\0"
    playlist = _playlist(folder, f"file://{_canary(folder)}").read_bytes()
    gab2 = b"GAB2\0" + struct.pack("<HI", 2, 4) + b"x\0\0\0" + struct.pack("<HI", 4, len(playlist)) + playlist
    chunk = data.index(b"01wb", data.index(b"movi"))
    size = int.from_bytes(data[chunk + 4 : chunk + 8], "little")
    assert len(gab2) <= size
    data[chunk + 8 : chunk + 8 + len(gab2)] = gab2
    return written(path, bytes(data))


def external_reference_mov(folder: Path) -> Path:
    """A MOV whose video track refers to another file."""
    path = make(folder / "reference.mov", picture(), codecs=X264)
    return written(path, insert_alias(path.read_bytes(), str(_canary(folder))))


def unlisted_magicyuv(folder: Path) -> Path:
    return make(folder / "magic.avi", picture(seconds=1), codecs=["-c:v", "magicyuv", "-pix_fmt", "yuv420p"])


def unlisted_cinepak(folder: Path) -> Path:
    return make(folder / "pack.avi", picture("64x48", seconds=0.2), codecs=["-c:v", "cinepak"])


def unlisted_sound(folder: Path) -> Path:
    return make(folder / "sound.mkv", picture(seconds=1), sound(1), codecs=[*X264, "-c:a", "wavpack"])


def audio_only(folder: Path) -> Path:
    return make(folder / "sound.mp4", sound(), codecs=AAC)


def audio_with_cover(folder: Path) -> Path:
    inputs = [*sound(), "-i", str(png(folder))]
    options = ["-map", "0", "-map", "1", *AAC, "-c:v", "png", "-disposition:v:0", "attached_pic"]
    return make(folder / "cover.mp4", inputs, codecs=options)


def cut_before_index(folder: Path) -> Path:
    return _cut(plain(folder), 0.5)


def cut_in_the_data(folder: Path) -> Path:
    """The index precedes the data, so the file seems valid until the data ends."""
    return _cut(remux(plain(folder), folder / "front.mp4", "-movflags", "+faststart"), 0.5)


def cut_in_the_index(folder: Path) -> Path:
    source = plain(folder)
    return _cut(source, (source.read_bytes().index(b"moov") + 100) / source.stat().st_size)


def cut_matroska(folder: Path) -> Path:
    return _cut(remux(plain(folder), folder / "whole.mkv"), 1 / 3)


def _cut(source: Path, part: float) -> Path:
    whole = source.read_bytes()
    return written(source.with_stem("cut"), whole[: round(len(whole) * part)])


def damaged(folder: Path) -> Path:
    """Every hundredth byte of the second half is changed; the container stays valid."""
    data = bytearray(make(folder / "whole.ts", picture("640x360", 3), codecs=X264).read_bytes())
    for position in range(len(data) // 2, len(data), 100):
        if position % 188 > 30:
            data[position] ^= 0x5A
    return written(folder / "damaged.ts", bytes(data))


def huge_8192(folder: Path) -> Path:
    """300 frames of a declared 8192² in a small file: 30 GB once decoded."""
    codecs = ["-c:v", "ffv1", "-pix_fmt", "gray"]
    data = make(folder / "small.mkv", picture("320x320", 12, pattern="color"), codecs=codecs).read_bytes()
    for side in (b"\xb0\x82", b"\xba\x82"):  # PixelWidth and PixelHeight, in two bytes each
        data = data.replace(side + struct.pack(">H", 320), side + struct.pack(">H", 8192), 1)
    return written(folder / "huge.mkv", data)


def too_fast_for_its_size(folder: Path) -> Path:
    """8K is taken, and 120 frames a second are, but not both."""
    return make(folder / "fast.mp4", picture("7680x4320", 0.03, "120"), codecs=X264)


def one_pixel(folder: Path) -> Path:
    return _tiny(folder, "1x1")


def nine_pixels(folder: Path) -> Path:
    return _tiny(folder, "3x3")


def _tiny(folder: Path, size: str) -> Path:
    codecs = ["-c:v", "ffv1", "-pix_fmt", "bgr0"]
    return make(folder / "tiny.mkv", picture(size, 1, pattern="color"), codecs=codecs)


def endless_aspect(folder: Path) -> Path:
    """640×360 pixels with a declared pixel aspect ratio of 100:1."""
    return make(folder / "wide.mp4", picture("640x360"), codecs=["-vf", "setsar=100/1", *X264])


def declared_100_hours(folder: Path) -> Path:
    return _declared(folder, 100 * 3600 * 1000.0)


def declared_nan(folder: Path) -> Path:
    return _declared(folder, float("nan"))


def declared_infinite(folder: Path) -> Path:
    return _declared(folder, float("inf"))


def _declared(folder: Path, milliseconds: float) -> Path:
    data = bytearray(remux(plain(folder), folder / "whole.mkv").read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Duration, a float of eight bytes
    data[at : at + 8] = struct.pack(">d", milliseconds)
    return written(folder / "declared.mkv", bytes(data))


def thousand_fps(folder: Path) -> Path:
    return make(folder / "thousand.mp4", picture("64x48", 1, "1000"), codecs=X264)


def noise_for_sound(folder: Path) -> Path:
    """The video is valid, but no audio frame is."""
    return remux(plain(folder), folder / "noise.mkv", "-bsf:a", "noise=amount=1")


def encrypted(folder: Path) -> Path:
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32, "-encryption_kid", "1" * 32]
    return remux(silent(folder), folder / "encrypted.mp4", *key)


def sparse_index(folder: Path) -> Path:
    """A sparse index of 250 MB: a table of 65 million empty samples."""
    table = 250 << 20
    return _with_sizes(folder, struct.pack(">I4sIII", table, b"stsz", 0, 0, (table - 20) // 4))


def index_of_half_bytes(folder: Path) -> Path:
    """The same with 4-bit sizes: 524 million samples, 2 GB if allocated."""
    table = 250 << 20
    return _with_sizes(folder, struct.pack(">I4sIII", table, b"stz2", 0, 4, (table - 20) * 2))


def _with_sizes(folder: Path, box: bytes) -> Path:
    """A film whose sample size table has this header; its entries are a hole in the file."""
    source = silent(folder).read_bytes()
    boxes = list(descend(source, (b"moov", b"trak", b"mdia", b"minf", b"stbl")))
    end, table = boxes[-1][1], int.from_bytes(box[:4], "big")
    head = bytearray(source[:end]) + box
    for start, _ in boxes:
        head[start : start + 4] = struct.pack(">I", end - start + table)
    path = written(folder / "sparse.mp4", bytes(head))
    with path.open("r+b") as file:
        file.truncate(end + table)
    return path
