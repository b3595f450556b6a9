"""Converts PyAV's tracks and frames to plain values. Runs in the probing child."""

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

from av.audio.stream import AudioStream
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.container_facts import PictureFacts, spatial_box
from gostream_worker.probe.model import AudioTrack, VideoTrack
from gostream_worker.probe.source_file import SourceFile
from gostream_worker.probe.timing.packet_scan import is_progressive
from gostream_worker.probe.tracks.channels import read_channels
from gostream_worker.probe.tracks.colour import Colours, completed
from gostream_worker.probe.tracks.combing import find_combs
from gostream_worker.probe.tracks.frame_samples import Sample
from gostream_worker.probe.tracks.languages import language_tag
from gostream_worker.probe.tracks.rotation import display_matrix, rotation_of

#: Codecs that may switch to interlaced pictures later. The filter checks each frame, at no cost.
_MAY_TURN = ("h264", "mpeg2video", "vc1", "mpeg4")
_FULL, _LIMITED = 2, 1
_CC_FIRST_FIELD, _CC_VALID = 0b111, 0b100


def container_colours(video: VideoStream) -> Colours:
    """Returns the container's colours. Must be called before decoding: decoders overwrite them."""
    context = video.codec_context
    return Colours(
        matrix=int(context.colorspace),
        transfer=int(context.color_trc),
        primaries=int(context.color_primaries),
        full_range=_range(int(context.color_range)),
    )


def _picture_colours(frame: VideoFrame) -> Colours:
    return Colours(
        matrix=int(frame.colorspace),
        transfer=int(frame.color_trc),
        primaries=int(frame.color_primaries),
        full_range=_range(int(frame.color_range)),
    )


def _range(number: int) -> bool | None:
    return number == _FULL if number in {_FULL, _LIMITED} else None


def describe_video(video: VideoStream, sample: Sample, facts: PictureFacts, said: Colours) -> VideoTrack:
    """Returns the video track. Raises ProcessingFailedError if its colours cannot be converted correctly."""
    if facts.dolby_vision and facts.dolby_vision.needs_a_converter:
        raise ProcessingFailedError(
            Code.UNSUPPORTED_CODEC, f"Dolby Vision profile {facts.dolby_vision.profile} without a base layer"
        )
    first = sample.frames[0]
    by_itself = _picture_colours(first)
    colours = completed(by_itself, said)
    if not colours.can_be_converted:
        raise ProcessingFailedError(Code.UNSUPPORTED_CODEC, f"colours by matrix {colours.matrix}")
    rotation, as_stored = rotation_of(display_matrix(first))
    codec = video.codec_context.name
    is_woven = any(frame.interlaced_frame for frame in sample.frames)
    return VideoTrack(
        index=video.index,
        codec=codec,
        width=facts.size[0],
        height=facts.size[1],
        pixel_format=first.format.name,
        sample_aspect=video.sample_aspect_ratio or Fraction(1),
        rotation=rotation,
        average_fps=video.average_rate or Fraction(0),
        as_stored=as_stored and facts.size == sample.size,
        interlaced=is_woven or (codec in _MAY_TURN and not is_progressive(video)),
        combs=None if is_woven else find_combs(sample.frames),
        transfer=colours.transfer,
        matrix=colours.matrix,
        relabelled=colours if colours != by_itself else None,
        leading=sample.leading,
        has_captions=any(map(_has_captions, sample.frames)),
    )


def _has_captions(frame: VideoFrame) -> bool:
    """Returns whether the frame has a valid CEA-608 pair of the first field, even padding.

    ANSI/SCTE 128: cc_valid, cc_type 0.
    """
    sides = cast("Mapping[str, SideData]", frame.side_data)
    found = sides.get("A53_CC")
    pairs = bytes(found) if found else b""
    return any(first & _CC_FIRST_FIELD == _CC_VALID for first in pairs[::3])


def describe_audio(audio: AudioStream, source: SourceFile) -> AudioTrack:
    """Returns the audio track.

    Avoids PyAV's channel layout, which is not memory-safe (gostream_worker.probe.tracks.channels).
    """
    context = audio.codec_context
    channels = read_channels(context.name, context.extradata or b"", spatial_box(audio, source))
    return AudioTrack(
        index=audio.index,
        codec=context.name,
        channels=channels.count,
        sample_rate=context.sample_rate or 0,
        bit_rate=context.bit_rate or 0,
        ambisonic=channels.is_ambisonic,
        language=language_tag(audio.metadata.get("language", "")),
    )
