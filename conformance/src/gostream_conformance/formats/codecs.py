"""Classifies the names in CODECS (RFC 6381)."""

_SOUND = ("mp4a.", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac")
_OTHER_SOUND = ("mp4a.40.34", "mp4a.69", "mp4a.6b", *_SOUND[1:])  # the first three are MP3
_OTHER_PICTURES = ("hvc1", "hev1", "dvh1", "dvhe", "av01", "vp08", "vp09", "vvc1", "vvi1", "mp4v.")


def is_sound(codec: str) -> bool:
    return codec.lower().startswith(_SOUND)


def is_unsupported(codec: str) -> bool:
    """Returns True for a known codec other than H.264 and AAC."""
    return codec.lower().startswith((*_OTHER_SOUND, *_OTHER_PICTURES))
