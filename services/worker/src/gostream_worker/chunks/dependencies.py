"""What the steps of an encode use."""

from collections.abc import Mapping
from dataclasses import dataclass

from gostream_shared.cache.ports import ChangeAnnouncer, ProgressPublisher
from gostream_shared.domain.repositories import Database
from gostream_shared.storage.port import ObjectStore
from gostream_worker.plan.profiles import Profile
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.publish.cdn import Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The backends that the pipeline uses."""

    database: Database
    store: ObjectStore
    announcer: ChangeAnnouncer
    publisher: ProgressPublisher
    edge: Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Encoding settings of a deployment. `step_patience`: seconds that a step waits for a backend.

    Sources above `max_copied_bytes`, and those of films in chunks, are read from the store instead of copied
    to the work directory. `chunk_window`: chunks of one film that wait for a worker at once; 0: one worker
    encodes each film. `previews`: films get a preview. `encoder_version` is that of ffmpeg, kept with the
    plan.
    """

    profiles: Mapping[str, Profile]
    limits: SourceLimits
    max_copied_bytes: int
    step_patience: float = 120.0
    sandbox_required: bool = False
    chunk_window: int = 8
    previews: bool = True
    encoder_version: str = ""
