"""Which parts of a film its preview shows, and ffmpeg's arguments for them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gostream_worker.object_names import PREVIEW
from gostream_worker.plan.plan import Plan, Rung

#: The longer side in pixels, and the pictures per second.
LONG_SIDE, RATE = 320, 8
#: The parts of a film, and their seconds.
_PARTS, _SECONDS = 4, 1.0
_QUALITY, _EFFORT = "50", "2"


@dataclass(frozen=True, slots=True)
class Part:
    """A second of a stored segment. `begins`: seconds after the first picture of the segment."""

    segment: str
    begins: float


def rung_of(plan: Plan) -> Rung:
    """Returns the smallest rung that is as large as the preview, or the largest one."""
    return next((rung for rung in reversed(plan.rungs) if _side(rung) >= LONG_SIDE), plan.rungs[0])


def _side(rung: Rung) -> int:
    return max(rung.width, rung.height)


def parts_of(starts: Mapping[str, float], seconds: float) -> list[Part]:
    """Returns the parts of a film of that duration: in the middle of each quarter; fewer if it is shorter.

    No part goes beyond the end of its segment. `starts`: the second at which each segment begins, in order.
    """
    names, begun = list(starts), list(starts.values())
    ends = [*begun[1:], max(seconds, begun[-1])]
    count = max(1, min(_PARTS, int(seconds / _SECONDS)))
    parts = []
    for number in range(count):
        wanted = seconds * (2 * number + 1) / (2 * count) - _SECONDS / 2
        at = max(place for place, start in enumerate(begun) if place == 0 or start <= wanted)
        begins = min(wanted, ends[at] - _SECONDS) - begun[at]
        parts.append(Part(names[at], round(max(0.0, begins), 3)))
    return parts


def preview_arguments(plan: Plan, files: Sequence[tuple[str, float]]) -> list[str]:
    """Returns the arguments that write the preview of parts in that order: files, and where they begin."""
    arguments = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+warning"]
    arguments += ["-progress", "pipe:1", "-stats_period", "0.5", "-y"]
    for file, begins in files:
        arguments += ["-protocol_whitelist", "file", "-format_whitelist", "mpegts"]
        arguments += ["-codec_whitelist", "h264", "-f", "mpegts"]
        # Not sought: after a seek beyond its last key frame a transport stream has no picture.
        arguments += ["-t", f"{begins + 2 * _SECONDS:.3f}", "-i", f"file:{file}"]
    rung = rung_of(plan)
    scale = min(1.0, LONG_SIDE / _side(rung))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (rung.width, rung.height))
    # WebP has the matrix of BT.601 and the limited range.
    size = f"scale={width}:{height}:out_color_matrix=bt601:out_range=limited,format=yuv420p,setsar=1"
    kept = f"setpts=PTS-STARTPTS,fps={RATE},trim=end_frame={round(RATE * _SECONDS)}"
    chains = [
        f"[{number}:v:0]setpts=PTS-STARTPTS,trim=start={begins:.3f},{kept},{size}[p{number}]"
        for number, (_, begins) in enumerate(files)
    ]
    pads = "".join(f"[p{number}]" for number in range(len(files)))
    graph = ";".join([*chains, f"{pads}concat=n={len(files)},fps={RATE}[preview]"])
    arguments += ["-filter_complex", graph, "-map", "[preview]", "-map_metadata", "-1"]
    arguments += ["-c:v", "libwebp_anim", "-quality", _QUALITY, "-compression_level", _EFFORT]
    return [*arguments, "-loop", "0", "-f", "webp", f"file:{PREVIEW}"]
