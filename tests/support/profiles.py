"""Fast profiles for pipeline tests that do not check picture quality."""

from collections.abc import Mapping
from dataclasses import replace

from gostream_worker.plan.profiles import PROFILES, Coding, Profile

_QUICK = Coding("ultrafast", 23, "")
#: Every profile with its ladder, at x264's fastest preset.
QUICK_PROFILES: Mapping[str, Profile] = {
    name: replace(profile, large=_QUICK, middle=_QUICK, small=_QUICK) for name, profile in PROFILES.items()
}
