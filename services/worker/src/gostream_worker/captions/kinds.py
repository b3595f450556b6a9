"""The kinds of jobs about added tracks, as the worker consumes them."""

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.repositories import Database
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.jobs.pgqueuer import FETCH_TRACK, PUBLISH_TRACKS, fetch_track_job, publish_tracks_job
from gostream_shared.storage.port import ObjectStore
from gostream_worker.captions.fetching import TrackFetcher
from gostream_worker.captions.publishing import TrackPublisher
from gostream_worker.config import WorkerConfig
from gostream_worker.jobs.consumer import JobKind, reading
from gostream_worker.publish.cdn import Edge
from gostream_worker.source.work_directory import WorkDirectory

#: Videos whose tracks are published at the same time, by workers that encode. Apart from fetches, which a
#: slow server can hold up, and whose workers reach other networks.
_PUBLISHED = 2


def track_kinds(
    config: WorkerConfig,
    database: Database,
    store: ObjectStore,
    announcer: ChangeAnnouncer,
    edge: Edge,
    work: WorkDirectory,
) -> dict[str, JobKind]:
    """Returns the kinds by the entry point of the queue."""
    publisher = TrackPublisher(
        database, store, announcer, edge, work, sandbox_required=config.sandbox == "required"
    )
    guard = EgressGuard.of(config.source_url_allow, allows_http=config.source_url_http)
    fetcher = TrackFetcher(database, store, guard)
    slots = _PUBLISHED if config.slots else 0
    return {
        PUBLISH_TRACKS: JobKind(reading(publish_tracks_job, publisher.publish), slots=slots),
        FETCH_TRACK: JobKind(reading(fetch_track_job, fetcher.fetch), slots=config.source_fetch_slots),
    }
