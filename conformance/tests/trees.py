"""Small HLS trees made by ffmpeg, with a master that does not depend on the checker's measurements."""

import re
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg

SECONDS = 14
FPS = 25
TICK = Fraction(1, 90_000)
SIZES = {"360p": (640, 360), "180p": (320, 180)}
CODECS = {"360p": "avc1.64001e", "180p": "avc1.64000d"}
_LEVELS = {"360p": "3.0", "180p": "1.3"}
_HLS = (
    *("-output_ts_offset", "10", "-muxdelay", "0", "-muxpreload", "0", "-map_metadata", "-1"),
    *("-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod"),
    *("-hls_flags", "independent_segments+temp_file", "-hls_segment_filename"),
)


def run_ffmpeg(*arguments: str) -> None:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-nostdin", "-v", "error", "-y", *arguments], check=True, timeout=100)


def encode_video(
    directory: Path, name: str, *, x264: str = "", gop: int = 50, options: tuple[str, ...] = ()
) -> None:
    """One rung: High profile, capped CRF, GOP of 2 s, 6 s segments."""
    directory.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[name]
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r={FPS}:d={SECONDS}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-level:v", _LEVELS[name]),
        *("-pix_fmt", "yuv420p", "-crf", "23", "-maxrate", "1M", "-bufsize", "2M", "-g", str(gop)),
        *("-x264-params", f"scenecut=0:open-gop=0{x264}", *options, *_HLS),
        *(str(directory / "seg%d.ts"), str(directory / "playlist.m3u8")),
    )


def encode_audio(
    directory: Path,
    *,
    rate: str = "128k",
    seconds: float = SECONDS,
    offset: str = "10",
    options: tuple[str, ...] = (),
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    hls = ("-output_ts_offset", offset, *_HLS[2:])
    run_ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            f"sine=440:r=48000:d={seconds}",
            "-c:a",
            "aac",
            "-b:a",
            rate,
            "-ac",
            "2",
            *options,
            *hls,
        ),
        *(str(directory / "seg%d.ts"), str(directory / "playlist.m3u8")),
    )


def encode_muxed(directory: Path) -> None:
    """One rung of 180p with the sound in the same segments."""
    directory.mkdir(parents=True, exist_ok=True)
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=320x180:r={FPS}:d={SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=440:r=48000:d={SECONDS}", "-c:a", "aac", "-b:a", "96k", "-ac", "2"),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-level:v", "1.3"),
        *("-pix_fmt", "yuv420p", "-g", "50", "-x264-params", "scenecut=0:open-gop=0", *_HLS),
        *(str(directory / "seg%d.ts"), str(directory / "playlist.m3u8")),
    )


def write_iframes(directory: Path) -> None:
    """The I-frame playlist of a rung, from the packet positions libavformat reports."""
    stamps: list[float] = []
    listed: list[tuple[str, str]] = []  # the parts before and after EXTINF
    for segment in _segments(directory):
        positions = video_packets(directory / segment)
        header = f'#EXT-X-MAP:URI="{segment}",BYTERANGE="564@0"\n'
        for index, packet in enumerate(positions):
            if packet.is_keyframe:
                after = positions[index + 1].pos or 0
                start = packet.pos or 0
                stamps.append(float((packet.pts or 0) * TICK))
                listed.append((header, f"#EXT-X-BYTERANGE:{after - start}@{start}\n{segment}\n"))
                header = ""
    durations = [after - before for before, after in pairwise([*stamps, stamps[0] + SECONDS])]
    entries = [
        f"{before}#EXTINF:{seconds:.5f},\n{after}"
        for (before, after), seconds in zip(listed, durations, strict=True)
    ]
    (directory / "iframes.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:{round(max(durations))}\n"
        f"#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n{''.join(entries)}#EXT-X-ENDLIST\n"
    )


def video_packets(segment: Path) -> "list[av.Packet[av.VideoStream]]":
    with av.open(str(segment), format="mpegts") as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def write_master(tree: Path, rungs: tuple[str, ...] = ("360p", "180p")) -> None:
    """Bandwidths come from file sizes and EXTINF, other attributes from ffmpeg's arguments."""
    sound_peak, sound_average = bandwidths(tree / "v1/audio")
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines.append(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Main",DEFAULT=YES,AUTOSELECT=YES,URI="v1/audio/playlist.m3u8"'
    )
    for rung in rungs:
        peak, average = bandwidths(tree / "v1" / rung)
        width, height = SIZES[rung]
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={peak + sound_peak},AVERAGE-BANDWIDTH={average + sound_average},"
            f'CODECS="{CODECS[rung]},mp4a.40.2",RESOLUTION={width}x{height},FRAME-RATE={FPS:.3f},AUDIO="aac"'
        )
        lines.append(f"v1/{rung}/playlist.m3u8")
    width, height = SIZES["180p"]
    lines.append(
        f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={still_bandwidth(tree / 'v1/180p')},"
        f'CODECS="{CODECS["180p"]}",RESOLUTION={width}x{height},URI="v1/180p/iframes.m3u8"'
    )
    (tree / "master.m3u8").write_text("\n".join([*lines, ""]))


def write_muxed_master(tree: Path) -> None:
    """A master with one variant: 180p with muxed sound."""
    peak, average = bandwidths(tree / "v1/180p")
    (tree / "master.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f"#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},"
        f'CODECS="{CODECS["180p"]},mp4a.40.2",RESOLUTION=320x180,FRAME-RATE={FPS:.3f}\n'
        "v1/180p/playlist.m3u8\n"
    )


def bandwidths(directory: Path) -> tuple[int, int]:
    """(peak, average) in bits per second."""
    text = (directory / "playlist.m3u8").read_text()
    return _peak_and_average(text, [(directory / name).stat().st_size * 8 for name in _segments(directory)])


def still_bandwidth(directory: Path) -> int:
    """Peak bandwidth of a rung's I-frame playlist."""
    text = (directory / "iframes.m3u8").read_text()
    return _peak_and_average(text, [int(size) * 8 for size in re.findall(r"BYTERANGE:(\d+)", text)])[0]


def _peak_and_average(text: str, bits: list[int]) -> tuple[int, int]:
    durations = [float(number) for number in re.findall(r"#EXTINF:([\d.]+)", text)]
    target = int(re.findall(r"TARGETDURATION:(\d+)", text)[0])
    runs = [(i, j) for i in range(len(bits)) for j in range(i + 1, len(bits) + 1)]
    fit = [(i, j) for i, j in runs if 0.5 * target <= sum(durations[i:j]) <= 1.5 * target]
    peak = max(sum(bits[i:j]) / sum(durations[i:j]) for i, j in fit)
    return round(peak), round(sum(bits) / sum(durations))


def _segments(directory: Path) -> list[str]:
    text = (directory / "playlist.m3u8").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def write_storyboard(directory: Path) -> None:
    """A tile per two seconds, four in a row, made by ffmpeg from the same test picture."""
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=160x90:r=0.5:d={SECONDS}", "-vf", "tile=4x2"),
        *("-frames:v", "1", "-q:v", "4", "-update", "1", str(directory / "storyboard.jpg")),
    )
    lines = ["WEBVTT", ""]
    for tile in range(SECONDS // 2):
        times = f"00:00:{2 * tile:02d}.000 --> 00:00:{2 * tile + 2:02d}.000"
        lines += [times, f"storyboard.jpg#xywh={tile % 4 * 160},{tile // 4 * 90},160,90", ""]
    (directory / "storyboard.vtt").write_text("\n".join(lines))


def build(tree: Path) -> None:
    """Two rungs, an audio group, an I-frame playlist, a storyboard and a master."""
    for rung in SIZES:
        encode_video(tree / "v1" / rung, rung)
    encode_audio(tree / "v1/audio")
    write_iframes(tree / "v1/180p")
    write_storyboard(tree / "v1")
    write_master(tree)
