"""Parses the output of `ffmpeg -progress`. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EncoderProgress:
    """One report. `position` in media seconds, `speed` in media seconds per second; None = unknown."""

    frames: int
    position: float | None
    speed: float | None


class ProgressParser:
    """Turns the lines of `-progress` into reports. Ignores unknown keys."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def feed(self, line: str) -> EncoderProgress | None:
        """Returns a report if the line ends one."""
        key, separator, value = line.strip().partition("=")
        if not separator:
            return None
        self._values[key] = value.strip()
        return self._report() if key == "progress" else None

    def _report(self) -> EncoderProgress:
        microseconds = self._number("out_time_us")
        return EncoderProgress(
            frames=int(self._number("frame") or 0),
            position=None if microseconds is None else max(0.0, microseconds / 1_000_000),
            speed=self._number("speed"),
        )

    def _number(self, key: str) -> float | None:
        try:
            return float(self._values[key].removesuffix("x"))
        except (KeyError, ValueError):  # ffmpeg writes N/A for unknown values
            return None


def split_lines(pending: bytes, chunk: bytes, *, longest: int = 4096) -> tuple[list[str], bytes]:
    """Returns the complete lines of `pending + chunk` and the rest. A line without end is cut."""
    *whole, rest = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
    return [line.decode("utf-8", "replace") for line in whole if line], rest[-longest:]
