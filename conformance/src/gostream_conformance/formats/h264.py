"""Parses H.264 byte streams: NAL units, sequence parameter sets, and the picture type of access units."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from gostream_conformance.errors import VideoError

SLICE, IDR, SEI, SPS, PPS = 1, 5, 6, 7, 8
_MAX_SPS_BYTES = 1024
_RECOVERY_POINT = 6
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_EXTENDED_SAR = 255
# Table E-1: aspect_ratio_idc → sample aspect ratio.
_SAR = (
    *((1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33)),
    *((18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)


@dataclass(frozen=True, slots=True)
class Sps:
    """The fields of a sequence parameter set that players and playlists use."""

    profile: int
    constraints: int
    level: int  # 31 = level 3.1
    chroma_format: int  # 1 = 4:2:0
    bit_depth: int
    width: int  # after cropping
    height: int
    progressive: bool  # frame_mbs_only_flag
    sample_aspect: Fraction
    frame_rate: Fraction | None  # from the timing in the VUI, if present

    @property
    def codec(self) -> str:
        """The name for the CODECS attribute (RFC 6381)."""
        return f"avc1.{self.profile:02x}{self.constraints:02x}{self.level:02x}"


class Bits:
    """Reads bits and Exp-Golomb numbers. Raises VideoError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def read(self, count: int) -> int:
        if count > self._left:
            raise VideoError("a truncated header")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.read(1) == 1

    def unsigned(self) -> int:
        """ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise VideoError("a number longer than 32 bits")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def nal_units(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, end) of each NAL unit in an Annex B byte stream, including its header byte."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        start = at + 3
        at = data.find(b"\x00\x00\x01", start)
        end = at if at >= 0 else len(data)
        if start < end:
            yield data[start] & 0x1F, start, end


def without_escapes(data: bytes) -> bytes:
    """Returns the payload without emulation prevention bytes."""
    if b"\x00\x00\x03" not in data:
        return data
    parts = data.split(b"\x00\x00\x03")
    return b"\x00\x00".join(parts)


def picture(data: bytes) -> tuple[int, int]:
    """Returns (first macroblock, slice type 0 to 4 = P B I SP SI) from the start of a slice NAL unit."""
    bits = Bits(without_escapes(data[1:24]))
    return bits.unsigned(), bits.unsigned() % 5


def is_recovery_point(data: bytes) -> bool:
    """Returns True if an SEI NAL unit marks a recovery point, where decoding may start without an IDR."""
    return _recovery_point(data) is not None


def frames_to_recovery(data: bytes) -> int:
    """Returns after how many frames the picture is complete if decoding starts at an SEI NAL unit.

    0 for an SEI without a recovery point. Raises VideoError if it is truncated.
    """
    message = _recovery_point(data)
    return Bits(message).unsigned() if message is not None else 0


def _recovery_point(data: bytes) -> bytes | None:
    """Returns the message about a recovery point in an SEI NAL unit, if any."""
    body = without_escapes(data[1:])
    at = 0
    while at + 2 <= len(body) and body[at] != 0x80:
        kind, at = _sei_number(body, at)
        size, at = _sei_number(body, at)
        if kind == _RECOVERY_POINT:
            return body[at : at + size]
        at += size
    return None


def _sei_number(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(body) and body[at] == 0xFF:
        value += 255
        at += 1
    if at >= len(body):
        raise VideoError("a truncated SEI message")
    return value + body[at], at + 1


def parse_sps(data: bytes) -> Sps:
    """Parse a sequence parameter set NAL unit. Raises VideoError."""
    if len(data) > _MAX_SPS_BYTES:
        raise VideoError(f"a sequence parameter set of {len(data)} bytes")
    bits = Bits(without_escapes(data[1:]))
    profile, constraints, level = bits.read(8), bits.read(8), bits.read(8)
    bits.unsigned()  # seq_parameter_set_id
    chroma, depth = _chroma(bits) if profile in _HIGH_PROFILES else (1, 8)
    bits.unsigned()  # log2_max_frame_num_minus4
    _skip_order_count(bits)
    bits.unsigned()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    columns, rows = bits.unsigned() + 1, bits.unsigned() + 1
    progressive = bits.flag()
    if not progressive:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    fields = 1 if progressive else 2
    left, right, top, bottom = [bits.unsigned() for _ in range(4)] if bits.flag() else [0, 0, 0, 0]
    unit_x = 2 if chroma in {1, 2} else 1
    unit_y = (2 if chroma == 1 else 1) * fields
    width = columns * 16 - (left + right) * unit_x
    height = rows * 16 * fields - (top + bottom) * unit_y
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise VideoError(f"a picture of {width}×{height}")
    aspect, rate = _usability(bits) if bits.flag() else (Fraction(1), None)
    return Sps(profile, constraints, level, chroma, depth, width, height, progressive, aspect, rate)


def _chroma(bits: Bits) -> tuple[int, int]:
    """Returns chroma_format_idc and bit depth of the high profiles. Skips their scaling lists."""
    chroma = bits.unsigned()
    if chroma == 3:
        bits.flag()  # separate_colour_plane_flag
    depth = 8 + max(bits.unsigned(), bits.unsigned())
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(12 if chroma == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, depth


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        bits.flag()
        bits.signed()
        bits.signed()
        count = bits.unsigned()
        if count > 255:
            raise VideoError("an invalid picture order count cycle")
        for _ in range(count):
            bits.signed()


def _usability(bits: Bits) -> tuple[Fraction, Fraction | None]:
    """Returns sample aspect ratio and frame rate of the VUI."""
    aspect = Fraction(1)
    if bits.flag():
        number = bits.read(8)
        pair = (bits.read(16), bits.read(16)) if number == _EXTENDED_SAR else (1, 1)
        if number < len(_SAR):
            pair = _SAR[number]
        aspect = Fraction(*pair) if all(pair) else Fraction(1)
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    if bits.flag():
        bits.read(4)  # video_format, video_full_range_flag
        if bits.flag():
            bits.read(24)  # colour description
    if bits.flag():
        bits.unsigned()
        bits.unsigned()
    if not bits.flag():
        return aspect, None
    units, scale = bits.read(32), bits.read(32)
    return aspect, Fraction(scale, 2 * units) if units and scale else None
