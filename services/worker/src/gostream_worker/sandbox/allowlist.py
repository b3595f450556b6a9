"""What may be read of a stranger's bytes, and by which code: told to the probe and to the encoder alike."""

from urllib.parse import urlsplit

#: 8192 × 4320: no decoder is opened for more.
MAX_PIXELS = 8192 * 4320
#: Demuxers that may read a source. All read one local file; none follows references to others.
CONTAINERS = ("mov", "matroska", "mpegts", "mpeg", "avi", "flv", "asf", "ogg")
#: Protocols that the source may be read by; either way there is nothing else at the other end.
FILE_PROTOCOLS, LOOPBACK_PROTOCOLS = ("file",), ("http", "tcp")
VIDEO_DECODERS = (
    *("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video"),
    *("mpeg1video", "h263", "flv", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2", "wmv3", "vc1", "theora"),
    *("prores", "dnxhd", "mjpeg", "ffv1", "dvvideo", "rawvideo", "svq3", "v210", "cfhd", "png"),
)
AUDIO_DECODERS = (
    *("aac", "aac_latm", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus", "vorbis"),
    *("libvorbis", "flac", "alac", "wmav1", "wmav2", "wmapro", "amrnb", "amrwb", "dca"),
    *("pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
    *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "s302m", "truehd", "mlp"),
    *(
        "pcm_u8",
        "pcm_alaw",
        "pcm_mulaw",
        "pcm_bluray",
        "pcm_dvd",
        "adpcm_ms",
        "adpcm_ima_wav",
        "adpcm_ima_qt",
    ),
)


def is_served(url: str) -> bool:
    """Whether what is read there is fetched from the store meanwhile."""
    return not url.startswith("file:")


def loopback_port(url: str) -> int | None:
    """The port that the source at that URL is read from; None for a file."""
    return urlsplit(url).port if is_served(url) else None


def protocols(url: str, *, is_part: bool = False) -> tuple[str, ...]:
    """What is needed to read the source at that URL, or its first part, and no more."""
    needed = LOOPBACK_PROTOCOLS if is_served(url) else FILE_PROTOCOLS
    return (*needed, "subfile") if is_part else needed
