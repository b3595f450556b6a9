"""What one worker leaves in the database for the next one, as JSON. Values are read back exactly."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from gostream_shared.domain.tracks import TrackCode
from gostream_shared.domain.videos.loudness import Loudness
from gostream_shared.storage.port import StoredObject
from gostream_worker.plan.plan import Plan
from gostream_worker.probe.model import Probe
from gostream_worker.publish.measure import Measured
from gostream_worker.publish.playlists import Segment
from gostream_worker.text.cues import Cue

#: The name of the file with what the chunk of the sound has found.
HEARD = "heard.json.z"
#: Bytes of that file after decompression; the child that reads texts answers with less.
_MAX_HEARD = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and what it was made from. `encoder` is the version of the planning worker's ffmpeg."""

    probe: Probe
    plan: Plan
    source: StoredObject
    encoder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """A stored segment: its path below `v{n}/`, its bytes, and its measures."""

    name: str
    size: int
    sha256: str
    measure: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutput:
    """What one chunk has stored. `damaged`: decoding errors; `new_sound`: a sound track appeared later."""

    segments: tuple[StoredSegment, ...]
    damaged: int = 0
    new_sound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The segments of a chunk as playlists for early playback need them, and the codecs, by rendition."""

    segments: Mapping[str, tuple[Segment, ...]]
    codecs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the texts of the plan say, in its order, and the loudness of the default sound."""

    texts: tuple[tuple[Cue, ...] | TrackCode, ...]
    loudness: Loudness | None = None


_planned = TypeAdapter(Planned)
_output = TypeAdapter(ChunkOutput)
_listed = TypeAdapter(Listed)
_heard = TypeAdapter(Heard)


def planned_json(planned: Planned) -> str:
    # The scan of the picture is a part of the plan already, and may be a megabyte.
    video = planned.probe.video
    lean = replace(planned.probe, video=replace(video, scan=None) if video else None)
    return _planned.dump_json(replace(planned, probe=lean)).decode()


def planned_from(text: str) -> Planned:
    """Raises ValueError if another release wrote it, and this one cannot read it."""
    return _planned.validate_json(text)


def output_json(output: ChunkOutput) -> str:
    return _output.dump_json(output).decode()


def output_from(text: str) -> ChunkOutput:
    """Raises ValueError if another release wrote it, and this one cannot read it."""
    return _output.validate_json(text)


def listed_json(listed: Listed) -> str:
    return _listed.dump_json(listed).decode()


def listed_from(text: str) -> Listed:
    """Raises ValueError if another release wrote it, and this one cannot read it."""
    return _listed.validate_json(text)


def heard_bytes(heard: Heard) -> bytes:
    return zlib.compress(_heard.dump_json(heard))


def heard_from(data: bytes) -> Heard:
    """Raises ValueError and zlib.error if the bytes were not written by `heard_bytes`."""
    return _heard.validate_json(zlib.decompressobj().decompress(data, _MAX_HEARD))
