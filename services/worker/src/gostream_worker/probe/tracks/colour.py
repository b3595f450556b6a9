"""Colour descriptions of samples and the conversions that they need. Pure. Numbers are of ITU-T H.273."""

from dataclasses import dataclass, replace

UNSPECIFIED = 2
BT709, BT601, BT2020 = 1, 6, 9
_RGB, _RESERVED = 0, 3
_YCGCO, _CONSTANT_LUMINANCE, _ICTCP = 8, 10, 14
#: HDR transfer functions with ffmpeg's names: PQ and HLG.
HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
#: Matrices that ffmpeg scales without conversion. RGB on YCbCr samples is a labelling error that players
#: ignore.
_PLAIN = frozenset({_RGB, BT709, UNSPECIFIED, _RESERVED, 4, 5, BT601, 7, BT2020})


@dataclass(frozen=True, slots=True)
class Colours:
    """MatrixCoefficients, TransferCharacteristics, ColourPrimaries, VideoFullRangeFlag (None = unknown)."""

    matrix: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    full_range: bool | None = None

    @property
    def is_specified(self) -> bool:
        """Whether any value except the range is specified."""
        return (self.matrix, self.transfer, self.primaries) != (UNSPECIFIED,) * 3

    @property
    def hdr(self) -> str | None:
        """ffmpeg's name of the transfer function if it is an HDR one."""
        return HDR_TRANSFERS.get(self.transfer)

    @property
    def can_be_converted(self) -> bool:
        return self.matrix in _PLAIN or self.first_conversion is not None

    @property
    def first_conversion(self) -> str | None:
        """The filter that converts the picture to a matrix that the other filters support."""
        if self.matrix == _YCGCO:
            return f"zscale=min=ycgco:m={'bt2020nc' if self.hdr else 'bt709'}"
        if self.matrix == _CONSTANT_LUMINANCE and not self.hdr:
            return "zscale=min=bt2020c:pin=bt2020:tin=bt2020-10:m=bt709:p=bt709:t=bt709"
        if self.matrix == _ICTCP and self.hdr:
            return f"zscale=min=ictcp:pin=bt2020:tin={self.hdr}:m=bt2020nc:p=bt2020:t={self.hdr}"
        return None


def completed(picture: Colours, container: Colours) -> Colours:
    """Returns the picture's values. Unspecified values are taken from the container."""
    if picture.is_specified or not container.is_specified:
        return replace(
            picture,
            matrix=_first(picture.matrix, container.matrix),
            transfer=_first(picture.transfer, container.transfer),
            primaries=_first(picture.primaries, container.primaries),
        )
    return replace(container, full_range=container.full_range or picture.full_range)


def _first(said: int, otherwise: int) -> int:
    return otherwise if said == UNSPECIFIED else said


def label(colours: Colours) -> str:
    """Returns the filter that labels frames with these colours without changing samples."""
    said = [
        f"{name}={value}"
        for name, value in (
            ("colorspace", colours.matrix),
            ("color_trc", colours.transfer),
            ("color_primaries", colours.primaries),
        )
        if value not in (UNSPECIFIED, _RESERVED)
    ]
    if colours.full_range is not None:
        said.append(f"range={'full' if colours.full_range else 'limited'}")
    return f"setparams={':'.join(said)}"
