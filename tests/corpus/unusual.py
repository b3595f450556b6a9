"""Valid but unusual files."""

from pathlib import Path

from .media import AAC, X264, ffmpeg, make, picture, remux, sound, written


def plain(folder: Path) -> Path:
    """3 s of 320×180 with stereo audio, the base of all variations."""
    return make(folder / "plain.mp4", picture(seconds=3), sound(seconds=3))


def two_segments(folder: Path) -> Path:
    """7.5 s at an NTSC rate, with B-frames."""
    return make(
        folder / "two.mp4",
        picture("640x360", 7.5, "30000/1001"),
        sound(7.5),
        codecs=[*X264, "-bf", "2", *AAC],
    )


def silent(folder: Path) -> Path:
    return make(folder / "silent.mp4", picture(), codecs=X264)


def mono_8khz(folder: Path) -> Path:
    return make(folder / "mono.mp4", picture(), sound(rate=8000, layout="mono"))


def surround(folder: Path) -> Path:
    return make(folder / "surround.mp4", picture(), sound(layout="5.1"))


def odd_853x481(folder: Path) -> Path:
    return make(folder / "odd.mkv", picture("853x481", 1), codecs=["-c:v", "libx264", "-pix_fmt", "yuv444p"])


def rotated(folder: Path) -> Path:
    """Stored as 320×180 and displayed as 180×320, as phones do."""
    path = folder / "rotated.mp4"
    ffmpeg("-display_rotation:v:0", "90", "-i", str(silent(folder)), "-c", "copy", str(path))
    return path


def portrait(folder: Path) -> Path:
    return make(folder / "portrait.mp4", picture("270x480"), sound())


def anamorphic(folder: Path) -> Path:
    return make(folder / "anamorphic.mp4", picture("240x180"), codecs=["-vf", "setsar=4/3", *X264])


def variable_rate(folder: Path) -> Path:
    """25 frames/s without every third frame and without all frames between 1 s and 1.5 s."""
    drop = "select='mod(n,3)*not(between(t,1,1.5))'"
    return make(folder / "vfr.mp4", picture(), sound(), codecs=["-vf", drop, "-fps_mode", "vfr", *X264, *AAC])


def fast_120(folder: Path) -> Path:
    return make(folder / "fast.mp4", picture(fps="120", seconds=1), codecs=X264)


def gopro_4_by_3(folder: Path) -> Path:
    return make(folder / "gopro.mp4", picture("5312x4648", 0.1, "30"), codecs=X264)


def gopro_5k(folder: Path) -> Path:
    return make(folder / "gopro.mp4", picture("5312x2988", 0.1, "30"), codecs=X264)


def fast_960(folder: Path) -> Path:
    return make(folder / "fast.mp4", picture(fps="960", seconds=0.2), codecs=X264)


def hdr10(folder: Path) -> Path:
    return _ten_bit(folder / "hdr10.mp4", "smpte2084")


def hlg(folder: Path) -> Path:
    return _ten_bit(folder / "hlg.mkv", "arib-std-b67")


def _ten_bit(path: Path, transfer: str) -> Path:
    x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]
    tags = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
    return make(path, picture(), sound(), codecs=["-vf", tags, *x265, "-pix_fmt", "yuv420p10le", *AAC])


def full_chroma(folder: Path) -> Path:
    return make(folder / "444.mp4", picture(), codecs=["-c:v", "libx264", "-pix_fmt", "yuv444p"])


def interlaced(folder: Path) -> Path:
    weave = ["-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", "-b:v", "2M"]
    return make(
        folder / "interlaced.ts", picture("352x288", fps="50"), sound(), codecs=[*weave, "-c:a", "mp2"]
    )


def vp9_webm(folder: Path) -> Path:
    codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    return make(folder / "vp9.webm", picture(), sound(), codecs=codecs)


def live_webm(folder: Path) -> Path:
    """As browsers record: no duration in the header."""
    return remux(vp9_webm(folder), folder / "live.webm", "-live", "1")


def prores_mov(folder: Path) -> Path:
    codecs = ["-c:v", "prores_ks", "-c:a", "pcm_s16le"]
    return make(folder / "prores.mov", picture(seconds=1), sound(1), codecs=codecs)


def av1_mp4(folder: Path) -> Path:
    codecs = ["-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1", "-pix_fmt", "yuv420p", *AAC]
    return make(folder / "av1.mp4", picture(seconds=1), sound(1), codecs=codecs)


def mpeg4_avi(folder: Path) -> Path:
    return make(folder / "xvid.avi", picture(), sound(), codecs=["-c:v", "mpeg4", "-c:a", "libmp3lame"])


def flv(folder: Path) -> Path:
    return make(
        folder / "old.flv", picture(), sound(rate=44100), codecs=["-c:v", "flv", "-c:a", "libmp3lame"]
    )


def wmv(folder: Path) -> Path:
    return make(folder / "old.wmv", picture(), sound(), codecs=["-c:v", "wmv2", "-c:a", "wmav2"])


def theora_ogg(folder: Path) -> Path:
    return make(folder / "old.ogv", picture(), sound(), codecs=["-c:v", "libtheora", "-c:a", "libvorbis"])


def mpeg_program(folder: Path) -> Path:
    return make(folder / "old.mpg", picture(), sound(), codecs=["-c:v", "mpeg2video", "-c:a", "mp2"])


def fragmented(folder: Path) -> Path:
    return remux(plain(folder), folder / "fragmented.mp4", "-movflags", "+frag_keyframe+empty_moov")


def one_frame(folder: Path) -> Path:
    return make(folder / "one.mp4", picture(), codecs=["-frames:v", "1", *X264])


def cover(folder: Path) -> Path:
    """One picture for 15 s of audio."""
    one = make(folder / "one.mkv", picture(seconds=0.04), codecs=["-c:v", "libx264", "-pix_fmt", "yuv420p"])
    path = folder / "cover.mp4"
    ffmpeg("-i", str(one), *sound(15), "-c:v", "copy", *AAC, str(path))
    return path


def starts_late(folder: Path) -> Path:
    """The audio starts 0.7 s after the video in a stream whose clock starts at 100 s."""
    delayed = ["-itsoffset", "0.7", *sound(2)]
    return make(
        folder / "late.ts", picture(seconds=3), delayed, codecs=[*X264, *AAC, "-output_ts_offset", "100"]
    )


def starts_before_zero(folder: Path) -> Path:
    """The first 0.5 s has negative timestamps, as after an edit list."""
    shift = ["-output_ts_offset", "-0.5", "-avoid_negative_ts", "disabled"]
    return make(folder / "early.mkv", picture(), sound(), codecs=[*X264, *AAC, *shift])


def sixty_four_tracks(folder: Path) -> Path:
    one = make(folder / "one.mkv", picture(seconds=1), sound(1))
    tracks = [word for _ in range(64) for word in ("-map", "0:a")]
    path = folder / "tracks.mkv"
    ffmpeg("-i", str(one), "-map", "0:v", *tracks, "-c", "copy", str(path))
    return path


def size_change(folder: Path) -> Path:
    parts = [
        make(folder / f"part{n}.ts", picture(size, 1), codecs=X264)
        for n, size in enumerate(("320x180", "240x180"))
    ]
    return written(folder / "change.ts", b"".join(part.read_bytes() for part in parts))


def hour_gap(folder: Path) -> Path:
    """Three frames, the last one an hour after the others."""
    late = "setpts='if(lt(N,2),N,90000)/25/TB'"
    options = ["-vf", late, "-fps_mode", "vfr", "-frames:v", "3"]
    return make(folder / "gap.mkv", picture("64x48", seconds=1), codecs=[*options, *X264])


def scratched(folder: Path) -> Path:
    """One byte of one picture is changed. The file must be accepted."""
    data = bytearray(make(folder / "whole.ts", picture("640x360", 4), codecs=X264).read_bytes())
    position = len(data) // 188 // 2 * 188 + 100
    data[position] ^= 0x5A
    return written(folder / "scratched.ts", bytes(data))


def latin_1_title(folder: Path) -> Path:
    """As old programs write it."""
    codecs = ["-c:v", "mpeg4", "-c:a", "libmp3lame", "-metadata", "title=Cafe noir"]
    data = make(folder / "title.avi", picture(), sound(), codecs=codecs).read_bytes()
    return written(folder / "latin.avi", data.replace(b"Cafe noir", b"Caf\xe9 noir"))


def latin_1_title_of_a_track(folder: Path) -> Path:
    codecs = [*X264, *AAC, "-metadata:s:a", "title=Cafe noir"]
    data = make(folder / "title.mkv", picture(), sound(), codecs=codecs).read_bytes()
    return written(folder / "latin.mkv", data.replace(b"Cafe noir", b"Caf\xe9 noir"))


def trailing_bytes(folder: Path) -> Path:
    """Bytes follow the last box. Players ignore them, and so must the worker."""
    return written(folder / "trailing.mp4", plain(folder).read_bytes() + b"\0" * 1000)


def zero_duration_header(folder: Path) -> Path:
    """The header's duration is 0; the samples give the real one."""
    data = bytearray(plain(folder).read_bytes())
    at = data.index(b"mvhd") + 4 + 16  # version and flags, two dates, the time scale
    data[at : at + 4] = bytes(4)
    return written(folder / "zero.mp4", bytes(data))
