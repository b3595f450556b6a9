"""Decides whether a Dolby Vision picture can be shown without Dolby's conversion. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DolbyVision:
    """A configuration record. `compatibility` 0: other decoders cannot use the base layer."""

    profile: int
    compatibility: int

    @property
    def needs_a_converter(self) -> bool:
        """Whether colours are wrong without Dolby's conversion: the samples are IPT, not YCbCr."""
        return self.compatibility == 0 and self.profile in _IPT_PROFILES


#: HEVC, AV1 and MV-HEVC without a compatible base layer.
_IPT_PROFILES = (5, 10, 20)


def read_configuration(record: bytes) -> DolbyVision | None:
    """Parses dvcC or dvvC ("Dolby Vision Streams Within the ISO Base Media File Format", 3.2)."""
    if len(record) < 5:
        return None
    return DolbyVision(profile=record[2] >> 1, compatibility=record[4] >> 4)
