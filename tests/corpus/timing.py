"""Files with unusual clocks, track timing and audio timing."""

import struct
from pathlib import Path

import av

from .media import AAC, X264, ffmpeg, make, picture, remux, sound, written

_TINY = "96x64"
_KEYS = ("-g", "25")


def _film(folder: Path, name: str, seconds: float = 2, *options: str) -> Path:
    return make(
        folder / name, picture(_TINY, seconds), sound(seconds), codecs=[*X264, *_KEYS, *AAC, *options]
    )


def _pausing(folder: Path, name: str, pause: float, track: str, *options: str) -> Path:
    """The track has no packets for `pause` seconds from second 1."""
    whole = _film(folder, "whole.mkv", pause + 2)
    drop = f"noise=drop=gt(pts*tb\\,1)*lt(pts*tb\\,{1 + pause})"
    return remux(whole, folder / name, f"-bsf:{track}", drop, *options)


def sound_pauses_20s(folder: Path) -> Path:
    return _pausing(folder, "pause.ts", 20, "a")


def sound_pauses_9s(folder: Path) -> Path:
    return _pausing(folder, "pause.ts", 9, "a")


def sound_pauses_11s(folder: Path) -> Path:
    return _pausing(folder, "pause.ts", 11, "a")


def sound_pauses_120s(folder: Path) -> Path:
    return _pausing(folder, "pause.ts", 120, "a")


def sound_pauses_in_a_program_stream(folder: Path) -> Path:
    whole = make(
        folder / "whole.mpg", picture(_TINY, 22), sound(22), codecs=["-c:v", "mpeg2video", "-c:a", "mp2"]
    )
    return remux(whole, folder / "pause.mpg", "-bsf:a", "noise=drop=gt(pts*tb\\,2)*lt(pts*tb\\,20)")


def sound_pauses_in_matroska(folder: Path) -> Path:
    return _pausing(folder, "pause.mkv", 20, "a")


def sound_pauses_in_mp4(folder: Path) -> Path:
    return _pausing(folder, "pause.mp4", 20, "a")


def sound_pauses_in_flv(folder: Path) -> Path:
    return _pausing(folder, "pause.flv", 20, "a")


def picture_pauses_20s(folder: Path) -> Path:
    return _pausing(folder, "pause.ts", 20, "v")


def one_of_two_sounds_pauses(folder: Path) -> Path:
    whole = make(
        folder / "whole.mkv",
        *(picture(_TINY, 22), sound(22), sound(22)),
        codecs=["-map", "0", "-map", "1", "-map", "2", *X264, *_KEYS, *AAC],
    )
    drop = "noise=drop=gt(pts*tb\\,1)*lt(pts*tb\\,21)"
    return remux(whole, folder / "two.ts", "-bsf:a:0", drop)


def clock_jumps_20s(folder: Path) -> Path:
    """Timestamps of both tracks jump by 20 s between two parts that were recorded separately."""
    parts = [
        remux(_film(folder, "part.mp4"), folder / f"{at}.ts", "-output_ts_offset", str(at)) for at in (0, 22)
    ]
    return written(folder / "jump.ts", b"".join(part.read_bytes() for part in parts))


def clock_wraps(folder: Path) -> Path:
    """The 33-bit timestamps overflow after 1 s."""
    shift = f"{(1 << 33) / 90_000 - 1:.3f}"
    return remux(_film(folder, "whole.mp4"), folder / "wrap.ts", "-output_ts_offset", shift, "-muxdelay", "0")


def sound_begins_6s_late(folder: Path) -> Path:
    return _late(folder, "late.ts")


def sound_begins_6s_late_in_matroska(folder: Path) -> Path:
    return _late(folder, "late.mkv")


def sound_begins_50_minutes_late(folder: Path) -> Path:
    """A picture that hardly ever changes, and a word at its end."""
    still = picture("64x48", 3000, "1/30", "color")
    return make(folder / "hour.mkv", still, ["-itsoffset", "2999", *sound(1)], codecs=[*X264, *AAC])


def picture_begins_6s_late(folder: Path) -> Path:
    late = ["-itsoffset", "6", *picture(_TINY, 2)]
    return make(folder / "late.ts", late, sound(8), codecs=[*X264, *AAC])


def _late(folder: Path, name: str) -> Path:
    delayed = ["-itsoffset", "6", *sound(2, layout="mono")]
    return make(folder / name, picture(_TINY, 10), delayed, codecs=[*X264, *AAC])


def fragments_from_an_hour(folder: Path) -> Path:
    """The first piece of a live stream joined with later pieces."""
    options = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]
    data = bytearray(remux(_film(folder, "whole.mp4"), folder / "fragments.mp4", *options).read_bytes())
    scales = [struct.unpack(">I", data[at + 16 : at + 20])[0] for at in _places(data, b"mdhd")]
    tracks = [struct.unpack(">I", data[at + 8 : at + 12])[0] for at in _places(data, b"tfhd")]
    for at, track in zip(_places(data, b"tfdt"), tracks, strict=True):
        (time,) = struct.unpack(">Q", data[at + 8 : at + 16])
        data[at + 8 : at + 16] = struct.pack(">Q", time + 3600 * scales[track - 1])
    return written(folder / "hour.mp4", bytes(data))


def _places(data: bytearray, name: bytes) -> list[int]:
    found, at = [], data.find(name)
    while at >= 0:
        found.append(at)
        at = data.find(name, at + 4)
    return found


def matroska_from_an_hour(folder: Path) -> Path:
    return remux(_film(folder, "whole.mp4"), folder / "hour.mkv", "-output_ts_offset", "3600")


def flv_from_an_hour(folder: Path) -> Path:
    return remux(_film(folder, "whole.mp4"), folder / "hour.flv", "-output_ts_offset", "3600")


def flv_cut_off(folder: Path) -> Path:
    """A recorder crashed: no length in the header, and the last packet is truncated."""
    path = folder / "pipe.flv"
    # MP3 audio cannot be stream-copied, so the first attempt decides the result.
    codecs = ["-c:v", "copy", "-c:a", "libmp3lame", "-ar", "44100"]
    whole = str(_film(folder, "whole.mp4", 4))
    ffmpeg("-i", whole, *codecs, "-flvflags", "no_duration_filesize", str(path))
    written_so_far = path.read_bytes()
    return written(folder / "cut.flv", written_so_far[: len(written_so_far) * 7 // 10])


def _killed(folder: Path, *options: str) -> bytes:
    """A recording of 8 s in fragments of one."""
    flags = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", *options]
    return remux(_film(folder, "whole.mp4", 8), folder / "fragments.mp4", *flags).read_bytes()


def fragments_cut_in_the_data(folder: Path) -> Path:
    """A recorder that was killed."""
    data = _killed(folder)
    return written(folder / "killed.mp4", data[: data.rindex(b"moof") - 300])


def fragments_cut_in_the_index(folder: Path) -> Path:
    data = _killed(folder)
    return written(folder / "killed.mp4", data[: data.rindex(b"traf") + 30])


def fragments_cut_in_the_index_of_a_mov(folder: Path) -> Path:
    data = _killed(folder, "-f", "mov")
    return written(folder / "killed.mov", data[: data.rindex(b"traf") + 30])


def first_fragment_cut(folder: Path) -> Path:
    data = _killed(folder)
    return written(folder / "killed.mp4", data[: data.index(b"mdat") + 300])


def _gaps(folder: Path, name: str) -> Path:
    """One in twenty packets of the sound is missing: 21 ms each time."""
    drop = "noise=drop=not(mod(n\\,20))*gt(n\\,30)"
    return remux(_film(folder, "whole.mkv", 12), folder / name, "-bsf:a", drop)


def many_small_gaps(folder: Path) -> Path:
    return _gaps(folder, "gaps.mkv")


def many_small_gaps_in_a_stream(folder: Path) -> Path:
    return _gaps(folder, "gaps.ts")


def avi_without_index(folder: Path) -> Path:
    codecs = ["-c:v", "mpeg4", "-c:a", "libmp3lame"]
    whole = make(folder / "whole.avi", picture(_TINY), sound(), codecs=codecs).read_bytes()
    return written(folder / "cut.avi", whole[: whole.rindex(b"idx1")])


def programme_with_new_pids(folder: Path) -> Path:
    whole = _film(folder, "part.mp4")
    parts = [
        remux(whole, folder / f"{pid}.ts", "-mpegts_start_pid", str(pid), "-output_ts_offset", str(at))
        for pid, at in ((256, 0), (512, 2))
    ]
    return written(folder / "pids.ts", b"".join(part.read_bytes() for part in parts))


def programme_with_another_codec(folder: Path) -> Path:
    first = _film(folder, "first.ts")
    second = make(
        folder / "second.ts",
        *(picture(_TINY), sound()),
        codecs=[
            *("-c:v", "mpeg2video", "-c:a", "mp2"),
            *("-mpegts_start_pid", "512", "-output_ts_offset", "2"),
        ],
    )
    return written(folder / "codecs.ts", first.read_bytes() + second.read_bytes())


def sound_on_a_new_pid(folder: Path) -> Path:
    """The video keeps its PID, the audio continues on a new one."""
    whole = _film(folder, "part.mp4")
    first = remux(whole, folder / "first.ts")
    second = folder / "second.ts"
    moved = ["-streamid", "0:256", "-streamid", "1:300", "-output_ts_offset", "2"]
    ffmpeg("-i", str(whole), "-map", "0", "-c", "copy", *moved, str(second))
    return written(folder / "sound.ts", first.read_bytes() + second.read_bytes())


def language_added_later(folder: Path) -> Path:
    whole = _film(folder, "part.mp4")
    first, second = remux(whole, folder / "first.ts"), folder / "second.ts"
    tracks = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-output_ts_offset", "2"]
    ffmpeg("-i", str(whole), *tracks, "-c", "copy", str(second))
    return written(folder / "language.ts", first.read_bytes() + second.read_bytes())


def matroska_set_back(folder: Path) -> Path:
    """Cluster timestamps restart from zero in the second half."""
    short = ["-cluster_time_limit", "1000"]
    data = bytearray(remux(_film(folder, "whole.mp4", 6), folder / "whole.mkv", *short).read_bytes())
    clusters = [
        at for at in _places(data, b"\x1f\x43\xb6\x75") if data[at + 12] == 0xE7 or data[at + 5] == 0xE7
    ]
    for at in clusters:
        head = data.index(b"\xe7", at, at + 24)
        size = data[head + 1] & 0x0F
        time = int.from_bytes(data[head + 2 : head + 2 + size], "big")
        if time >= 3000:
            data[head + 2 : head + 2 + size] = (time - 3000).to_bytes(size, "big")
    return written(folder / "back.mkv", bytes(data))


def sound_of_one_frame(folder: Path) -> Path:
    return make(folder / "one.mp4", picture(_TINY, 1), sound(0.02), codecs=[*X264, *AAC])


def sound_of_three_frames(folder: Path) -> Path:
    return make(folder / "three.ts", picture(_TINY, 1), sound(0.06), codecs=[*X264, *AAC])


def last_picture_damaged(folder: Path) -> Path:
    """The stream can be copied until its last picture, which is noise."""
    codecs = [*X264, *_KEYS, "-bf", "0", *AAC, "-shortest"]
    whole = make(folder / "whole.mp4", picture(seconds=2), sound(2.5), codecs=codecs)
    data = bytearray(whole.read_bytes())
    at, size = _last_picture(whole)
    for position in range(at + 12, at + size, 7):
        data[position] ^= 0x5A
    return written(folder / "last.mp4", bytes(data))


def _last_picture(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    assert packets[-1].pos is not None
    return packets[-1].pos, packets[-1].size
