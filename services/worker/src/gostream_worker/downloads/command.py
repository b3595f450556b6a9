"""Builds the arguments of ffmpeg that put published segments into one file. Pure."""

from collections.abc import Sequence

from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.sandbox.allowlist import LOOPBACK_PROTOCOLS


def remux_arguments(*, sources: Sequence[str], kinds: Sequence[str], output: str) -> list[str]:
    """Returns the arguments that copy the first track of each kind ("v", "a") from the source of its number.

    The index comes first in the file, so that it plays while it is fetched. The clocks of picture and sound
    stay as they are against each other; both begin near zero.
    """
    arguments = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"]
    arguments += ["-progress", "pipe:1", "-stats_period", "0.5", "-y", "-copyts"]
    for source in sources:
        arguments += ["-protocol_whitelist", ",".join(LOOPBACK_PROTOCOLS), "-format_whitelist", "mpegts"]
        arguments += ["-f", "mpegts", "-i", source]
    for number, kind in enumerate(kinds):
        arguments += ["-map", f"{number}:{kind}:0"]
    arguments += ["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]
    arguments += ["-output_ts_offset", str(-TIME_OFFSET), "-movflags", "+faststart", "-f", "mp4"]
    return [*arguments, f"file:{output}"]
