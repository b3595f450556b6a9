"""Small media files of every kind, made by ffmpeg."""

import functools
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")


def ffmpeg(*arguments: str) -> str:
    """Runs ffmpeg and returns its standard error."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def picture(
    size: str = "320x180", seconds: float = 2, fps: str = "25", source: str = "testsrc2"
) -> list[str]:
    return ["-f", "lavfi", "-i", f"{source}=size={size}:rate={fps}:duration={seconds}"]


def sound(seconds: float = 2, rate: int = 48000, layout: str = "stereo") -> list[str]:
    tone = f"sine=duration={seconds}:sample_rate={rate},aformat=channel_layouts={layout}"
    return ["-f", "lavfi", "-i", tone]


def make(path: Path, *inputs: Sequence[str], codecs: Sequence[str] = (*X264, *AAC)) -> Path:
    ffmpeg("-v", "error", *(word for part in inputs for word in part), *codecs, str(path))
    return path


def plain(folder: Path) -> Path:
    """3 s of 320×180 with stereo sound."""
    return make(folder / "plain.mp4", picture(seconds=3), sound(seconds=3))


def long_enough_for_two_segments(folder: Path) -> Path:
    """7.5 s at an NTSC rate."""
    return make(
        folder / "two.mp4",
        picture("640x360", 7.5, "30000/1001"),
        sound(7.5),
        codecs=[*X264, "-bf", "2", *AAC],
    )


def silent(folder: Path) -> Path:
    return make(folder / "silent.mp4", picture(), codecs=X264)


def full_range(folder: Path) -> Path:
    """Full range, 0 to 255 instead of 16 to 235, as phones record."""
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuvj420p"]
    return make(folder / "full.mp4", picture(), codecs=codecs)


def mono_8khz(folder: Path) -> Path:
    return make(folder / "mono.mp4", picture(), sound(rate=8000, layout="mono"))


def surround(folder: Path) -> Path:
    return make(folder / "surround.mp4", picture(), sound(layout="5.1"))


def odd_size(folder: Path) -> Path:
    return make(folder / "odd.mkv", picture("427x241"), codecs=["-c:v", "libx264", "-pix_fmt", "yuv444p"])


def rotated(folder: Path) -> Path:
    """Stored as 320×180, shown as 180×320, as phones record."""
    stored = silent(folder)
    path = folder / "rotated.mp4"
    ffmpeg("-v", "error", "-display_rotation:v:0", "90", "-i", str(stored), "-c", "copy", str(path))
    return path


def anamorphic(folder: Path) -> Path:
    return make(folder / "anamorphic.mp4", picture("240x180"), codecs=["-vf", "setsar=4/3", *X264])


def variable_rate(folder: Path) -> Path:
    """25 frames a second without every third frame and without those from 1 s to 1.5 s."""
    drop = "select='mod(n,3)*not(between(t,1,1.5))'"
    return make(folder / "vfr.mp4", picture(), sound(), codecs=["-vf", drop, "-fps_mode", "vfr", *X264, *AAC])


def fast(folder: Path) -> Path:
    return make(folder / "fast.mp4", picture(fps="120", seconds=1), codecs=X264)


def hdr10(folder: Path) -> Path:
    tags = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
    codecs = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none",
        "-pix_fmt",
        "yuv420p10le",
    ]
    return make(folder / "hdr.mp4", picture(), codecs=[*codecs, *tags])


def interlaced(folder: Path) -> Path:
    weave = ["-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", "-b:v", "2M"]
    return make(folder / "interlaced.ts", picture("352x288", fps="50"), codecs=weave)


def interlaced_later(folder: Path) -> Path:
    """Two seconds of progressive film, then interlaced camera frames, as in broadcasts."""
    codec = ["-c:v", "mpeg2video", "-b:v", "4M"]
    film = make(folder / "film.ts", picture("352x288"), codecs=codec)
    weave = ["-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct", *codec]
    camera = make(folder / "camera.ts", picture("352x288", fps="50"), codecs=weave)
    return written(folder / "later.ts", film.read_bytes() + camera.read_bytes())


def webm(folder: Path) -> Path:
    codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    return make(folder / "vp9.webm", picture(), sound(), codecs=codecs)


def live_webm(folder: Path) -> Path:
    """A browser's recording: no duration in the header."""
    source, path = webm(folder), folder / "live.webm"
    with path.open("wb") as file:
        command = [
            get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            str(source),
            "-c",
            "copy",
            "-f",
            "webm",
            "-live",
            "1",
            "-",
        ]
        subprocess.run(command, stdout=file, check=True, timeout=60)
    return path


def fragmented(folder: Path) -> Path:
    """Fragmented and without a duration, as some recorders write."""
    path = folder / "fragmented.mp4"
    flags = ["-movflags", "frag_keyframe+empty_moov+default_base_moof+skip_trailer"]
    ffmpeg("-v", "error", "-i", str(long_enough_for_two_segments(folder)), "-c", "copy", *flags, str(path))
    return path


def prores(folder: Path) -> Path:
    return make(
        folder / "prores.mov", picture(seconds=1), sound(1), codecs=["-c:v", "prores_ks", "-c:a", "pcm_s16le"]
    )


def one_frame(folder: Path) -> Path:
    return make(folder / "one.mp4", picture(), codecs=["-frames:v", "1", *X264])


def late_sound(folder: Path) -> Path:
    """Sound starts 0.7 s after the picture; timestamps start at 100 s."""
    delayed = ["-itsoffset", "0.7", *sound(2)]
    return make(
        folder / "late.ts", picture(seconds=3), delayed, codecs=[*X264, *AAC, "-output_ts_offset", "100"]
    )


def many_tracks(folder: Path) -> Path:
    tracks = [word for _ in range(8) for word in ("-map", "1:a")]
    return make(
        folder / "tracks.mkv", picture(seconds=1), sound(1), codecs=["-map", "0:v", *tracks, *X264, *AAC]
    )


def size_change(folder: Path) -> Path:
    """The frame size changes in the middle."""
    parts = [
        make(folder / f"part{n}.ts", picture(size, 1), codecs=X264)
        for n, size in ((0, "320x180"), (1, "240x180"))
    ]
    path = folder / "change.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut_beyond_the_end(folder: Path) -> Path:
    """`-ss 60` of three seconds: an edit list hides every packet."""
    source, path = plain(folder), folder / "beyond.mp4"
    ffmpeg("-v", "error", "-ss", "60", "-t", "30", "-i", str(source), "-c", "copy", str(path))
    return path


def cut_between_key_frames(folder: Path) -> Path:
    """`-ss 1 -t 1.5`: an edit list hides the first second."""
    source, path = plain(folder), folder / "between.mp4"
    ffmpeg("-v", "error", "-ss", "1", "-t", "1.5", "-i", str(source), "-c", "copy", str(path))
    return path


def empty(folder: Path) -> Path:
    return written(folder / "empty.mp4", b"")


def random_bytes(folder: Path) -> Path:
    return written(folder / "random.mp4", random.Random(1).randbytes(4096))


def text(folder: Path) -> Path:
    return written(folder / "text.mp4", b"This is not a video.\n" * 50)


def xml(folder: Path) -> Path:
    return written(folder / "page.mp4", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')


def playlist(folder: Path) -> Path:
    return written(folder / "p.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n")


def playlist_without_magic(folder: Path) -> Path:
    return written(
        folder / "p.mp4", b"\n\n#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://169.254.169.254/\n"
    )


def concat_list(folder: Path) -> Path:
    return written(folder / "c.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n")


def session_description(folder: Path) -> Path:
    return written(folder / "s.mp4", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n")


def subtitles(folder: Path) -> Path:
    return written(folder / "s.mp4", b"1\n00:00:00,000 --> 00:00:01,000\nHello\n")


def png(folder: Path) -> Path:
    path = folder / "picture.png"
    ffmpeg("-v", "error", *picture(), "-frames:v", "1", str(path))
    return path


def avif(folder: Path) -> Path:
    codecs = ["-frames:v", "1", "-c:v", "libsvtav1", "-preset", "12"]
    return make(folder / "picture.avif", picture(), codecs=codecs)


def moving_avif(folder: Path) -> Path:
    return make(folder / "moving.avif", picture(), codecs=["-c:v", "libsvtav1", "-preset", "12"])


def mp3(folder: Path) -> Path:
    return make(folder / "sound.mp3", sound(), codecs=["-c:a", "libmp3lame"])


def audio_only(folder: Path) -> Path:
    return make(folder / "sound.mp4", sound(), codecs=AAC)


def audio_with_cover(folder: Path) -> Path:
    cover, path = png(folder), folder / "cover.mp4"
    inputs = [*sound(), "-i", str(cover)]
    options = ["-map", "0", "-map", "1", *AAC, "-c:v", "png", "-disposition:v:0", "attached_pic"]
    return make(path, inputs, codecs=options)


def cut_before_index(folder: Path) -> Path:
    whole = plain(folder).read_bytes()
    return written(folder / "cut.mp4", whole[: len(whole) // 2])


def cut_in_the_index(folder: Path) -> Path:
    whole = plain(folder).read_bytes()
    return written(folder / "cut.mp4", whole[: whole.index(b"moov") + 100])


def cut_after_index(folder: Path) -> Path:
    """The index comes first, so the file looks complete until the data ends."""
    source, path = plain(folder), folder / "faststart.mp4"
    ffmpeg("-v", "error", "-i", str(source), "-c", "copy", "-movflags", "+faststart", str(path))
    whole = path.read_bytes()
    return written(folder / "half.mp4", whole[: len(whole) // 2])


def cut_first_fragment(folder: Path) -> Path:
    """A recorder killed within seconds."""
    whole = fragmented(folder).read_bytes()
    return written(folder / "cut-fragments.mp4", whole[: whole.index(b"mdat", whole.index(b"moof")) + 100])


def cut_matroska(folder: Path) -> Path:
    source, path = plain(folder), folder / "whole.mkv"
    ffmpeg("-v", "error", "-i", str(source), "-c", "copy", str(path))
    whole = path.read_bytes()
    return written(folder / "half.mkv", whole[: len(whole) // 3])


def too_fast_for_its_size(folder: Path) -> Path:
    """Small enough frames, and few of them."""
    drawn = picture("5312x2988", 0.02, fps="240")
    return make(folder / "fast.mp4", drawn, codecs=["-c:v", "libx264", "-preset", "ultrafast"])


def tiny(folder: Path) -> Path:
    return make(folder / "tiny.mkv", picture("3x3", 1), codecs=["-c:v", "ffv1", "-pix_fmt", "rgb24"])


def huge(folder: Path) -> Path:
    source = picture("8192x8192", 0.04, "25", "color")
    return make(folder / "huge.mkv", source, codecs=["-c:v", "ffv1", "-pix_fmt", "gray"])


def unlisted_codec(folder: Path) -> Path:
    return make(folder / "magic.avi", picture(seconds=1), codecs=["-c:v", "magicyuv", "-pix_fmt", "yuv420p"])


def damaged(folder: Path) -> Path:
    """Every hundredth byte of the second half is changed."""
    data = bytearray(make(folder / "whole.ts", picture("640x360", 3), codecs=X264).read_bytes())
    for position in range(len(data) // 2, len(data), 100):
        if position % 188 > 30:  # damages the picture but not the container
            data[position] ^= 0x5A
    return written(folder / "damaged.ts", bytes(data))


def scratched(folder: Path) -> Path:
    """A few wrong bytes in one frame of 250."""
    whole = make(folder / "whole.ts", picture("320x180", 10), codecs=X264)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle + 60 : middle + 64] = b"\x5a\xa5\x5a\xa5"
    return written(folder / "scratched.ts", bytes(data))


def encrypted(folder: Path) -> Path:
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32, "-encryption_kid", "1" * 32]
    return make(folder / "encrypted.mp4", picture(), codecs=[*X264, *key])


def encrypted_sound(folder: Path) -> Path:
    """Only the sound is marked as encrypted: the picture's encryption boxes are renamed."""
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32, "-encryption_kid", "1" * 32]
    data = make(folder / "both.mp4", picture(), sound(), codecs=[*X264, *AAC, *key]).read_bytes()
    for name, other in ((b"encv", b"avc1"), (b"sinf", b"free"), (b"senc", b"free"), (b"saiz", b"free")):
        data = data.replace(name, other, 1)
    return written(folder / "sound.mp4", data)


def very_long(folder: Path) -> Path:
    """Three frames; the last one is at 100 h."""
    late = "setpts='if(lt(N,2),N,9000000)/25/TB'"
    return make(
        folder / "long.mkv",
        picture(seconds=1),
        codecs=["-vf", late, "-fps_mode", "vfr", "-frames:v", "3", *X264],
    )


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


Recipe = Callable[[Path], Path]


@functools.cache
def _made(recipe: Recipe, folder: Path) -> Path:
    own = folder / f"{recipe.__module__}.{recipe.__name__}"
    own.mkdir()
    return recipe(own)


class Clips:
    """Makes each file once per session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, recipe: Recipe) -> Path:
        return _made(recipe, self._folder)
