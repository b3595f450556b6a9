"""How samples become colours, and which conversion they need: pure. Numbers are of ITU-T H.273."""

from dataclasses import dataclass, replace

UNSPECIFIED = 2
BT709, BT601, BT2020 = 1, 6, 9
_RGB, _RESERVED = 0, 3
_YCGCO, _CONSTANT_LUMINANCE, _ICTCP = 8, 10, 14
#: Transfer functions of HDR, by ffmpeg's names: PQ and HLG.
HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
#: ffmpeg scales pictures of these as they are. RGB, where samples are YCbCr, is an error that players ignore.
_PLAIN = frozenset({_RGB, BT709, UNSPECIFIED, _RESERVED, 4, 5, BT601, 7, BT2020})


@dataclass(frozen=True, slots=True)
class Colours:
    """MatrixCoefficients, TransferCharacteristics, ColourPrimaries, VideoFullRangeFlag (None = not said)."""

    matrix: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    full_range: bool | None = None

    @property
    def is_said(self) -> bool:
        """Whether anything but the range is known."""
        return (self.matrix, self.transfer, self.primaries) != (UNSPECIFIED,) * 3

    @property
    def hdr(self) -> str | None:
        """ffmpeg's name of the transfer function if it is one of HDR."""
        return HDR_TRANSFERS.get(self.transfer)

    @property
    def can_be_converted(self) -> bool:
        return self.matrix in _PLAIN or self.first_conversion is not None

    @property
    def first_conversion(self) -> str | None:
        """The filter without which nothing else knows what to do with such pictures."""
        if self.matrix == _YCGCO:
            return f"zscale=min=ycgco:m={'bt2020nc' if self.hdr else 'bt709'}"
        if self.matrix == _CONSTANT_LUMINANCE and not self.hdr:
            return "zscale=min=bt2020c:pin=bt2020:tin=bt2020-10:m=bt709:p=bt709:t=bt709"
        if self.matrix == _ICTCP and self.hdr:
            return f"zscale=min=ictcp:pin=bt2020:tin={self.hdr}:m=bt2020nc:p=bt2020:t={self.hdr}"
        return None


def completed(picture: Colours, container: Colours) -> Colours:
    """The container's values where the pictures have none; those of the pictures take precedence."""
    if picture.is_said or not container.is_said:
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
    """The filter that gives frames these colours without changing a sample."""
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
