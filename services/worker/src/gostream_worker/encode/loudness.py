"""Measures loudness while sound is encoded, by filters that print their state into a file. Pure.

Loudness by EBU R 128, the true peak by four times the samples (ITU-R BS.1770).
"""

import math
import re
from collections.abc import Mapping

from gostream_shared.domain.videos.loudness import Loudness

#: Seconds before the expected end from which on every state is printed. Before, it is one in ten seconds.
_EXACT = 30
#: What the meter says of sound that never passes its absolute gate: silence, or less than 0.4 s.
_SILENCE = -70.0
_HIGHEST_PEAK = -1.0
_STATE = re.compile(r"^lavfi\.(r128\.I|astats\.Overall\.Peak_level)=(\S+)$", re.MULTILINE)


def meter(file: str, duration: float) -> str:
    """Returns the filters that print the loudness of a sound of `duration` seconds into that file.

    Its frames are not those of the input: they belong to no output that is published.
    """
    end = max(0.0, duration - _EXACT)
    return (
        "ebur128=metadata=1,aresample=192000,"
        "astats=measure_perchannel=none:measure_overall=Peak_level:metadata=1,"
        rf"aselect=not(mod(n\,100))+gte(t\,{end:.0f}),ametadata=mode=print:file={file}"
    )


def read_meter(printed: str) -> Loudness | None:
    """Returns the last printed state. None for silence, or if nothing was measured."""
    last: Mapping[str, str] = dict(_STATE.findall(printed))
    try:
        integrated, peak = float(last["r128.I"]), float(last["astats.Overall.Peak_level"])
    except (KeyError, ValueError):
        return None
    if not math.isfinite(peak) or not math.isfinite(integrated) or integrated <= _SILENCE:
        return None
    return Loudness(integrated_lufs=round(integrated, 1), true_peak_dbtp=round(peak, 1))


def gain_to(target: float, found: Loudness | None) -> float:
    """Returns the decibels that bring sound to `target` LUFS, less if its true peak would pass -1 dBTP."""
    if found is None:
        return 0.0
    return round(min(target - found.integrated_lufs, _HIGHEST_PEAK - found.true_peak_dbtp), 1)
