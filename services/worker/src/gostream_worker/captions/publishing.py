"""Makes the published stream of a video have its added tracks, without an encode. Every step can be repeated.

A job says only that something changed. It reads the tracks and the stream, and makes the second equal to the
first, so any number of jobs may run, in any order (decision 0188).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import structlog

from gostream_conformance.check import check_texts
from gostream_conformance.rules.rule import Severity
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.companions.added_tracks import AddedState, AddedTrack
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.jobs import PublishTracksJob, RemoveJob
from gostream_shared.domain.object_keys import MASTER, encode_prefix, master_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.domain.video import Publication, Video, VideoStatus
from gostream_shared.storage.port import ObjectReplacedError, ObjectStore
from gostream_worker.captions.master import with_added
from gostream_worker.captions.planning import described, plan_added
from gostream_worker.captions.reading import read_added
from gostream_worker.captions.stream import PublishedStream, read_stream
from gostream_worker.failures import ProcessingFailedError, WorkerFullError
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import count_job
from gostream_worker.object_names import playlist_name, text_name
from gostream_worker.plan.texts import Text
from gostream_worker.publish.cdn import Edge
from gostream_worker.publish.presentation import text_rendition
from gostream_worker.publish.publisher import MASTER_CACHE
from gostream_worker.publish.subtitles import publish_texts
from gostream_worker.publish.uploader import PLAYLIST_TYPE, EncodeUploader
from gostream_worker.retry import backoff
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.text.reader import Read

_log = structlog.stdlib.get_logger("gostream.captions")

#: Tries to prepare a track: a file that ends its worker must not do so without end.
_MAX_TRIES = 5
#: Times that a job begins again at once, because the tracks or the stream changed while it worked.
_ROUNDS = 5
#: Seconds for one delivery, and between two after something unexpected.
_TIMEOUT = 300.0
_PAUSE = timedelta(minutes=1)
#: An encode is being published, which takes about this long.
_SOON = timedelta(seconds=1)
#: Objects that were written after a deletion are removed like those of any deleted video.
_LATE = 3


class _ChangedError(Exception):
    """The tracks or the stream changed in the meantime."""


@dataclass(frozen=True, slots=True)
class _Built:
    """What the stream is to become. `files` by path below the encode's prefix, without those it has."""

    stream: PublishedStream
    video: Video
    added: Sequence[AddedTrack]
    texts: Mapping[UUID, Text]
    paths: Mapping[UUID, str]
    reasons: Mapping[UUID, TrackCode]
    files: Mapping[str, str]
    sizes: Mapping[UUID, int] = field(default_factory=dict)

    @property
    def master(self) -> str:
        attempt = self.stream.attempt
        published = [text for track_id, text in self.texts.items() if track_id in self.paths]
        uris = [f"v{self.stream.number}/{text.folder}/{playlist_name(attempt)}" for text in published]
        return with_added(self.stream.master, list(map(text_rendition, published, uris)))


class TrackPublisher:
    """Runs PublishTracksJobs."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        announcer: ChangeAnnouncer,
        edge: Edge,
        work: WorkDirectory,
        *,
        sandbox_required: bool = False,
        step_patience: float = 60.0,
    ) -> None:
        self._database = database
        self._store = store
        self._announcer = announcer
        self._edge = edge
        self._work = work
        self._sandbox_required = sandbox_required
        self._patience = step_patience

    async def publish(self, job: PublishTracksJob) -> Verdict:
        """Handles one delivery of a job. Cancellation releases the job."""
        with structlog.contextvars.bound_contextvars(video_id=str(job.video_id)):
            try:
                async with asyncio.timeout(_TIMEOUT):
                    return await self._follow(job.video_id)
            except VideoNotFoundError:
                return await self._deleted(job.video_id)
            except _ChangedError:
                return _again("changed", _SOON)
            except (BackendUnavailableError, WorkerFullError, TimeoutError) as error:
                _log.warning("tracks not published yet", error=str(error) or "timeout")
                return _again("outage", timedelta(seconds=backoff(0)))
            except ProcessingFailedError as error:
                _log.error("tracks not published", detail=error.detail)
                return _again("failed", _PAUSE)

    async def _follow(self, video_id: UUID) -> Verdict:
        read = await self._prepare(video_id)
        for _ in range(_ROUNDS):
            try:
                await self._publish(video_id, read)
            except _ChangedError:
                continue
            count_job("publish-tracks", "done")
            return DONE
        raise _ChangedError

    async def _prepare(self, video_id: UUID) -> dict[UUID, Read]:
        """Reads the tracks whose file is new. Returns the cues of each track that was read now."""
        tracks = await self._database.added_tracks.of_video(video_id)
        waiting = [track for track in tracks if track.state is AddedState.PREPARING and not track.url]
        found: dict[UUID, Read] = {}
        for track in waiting:
            tries = await self._database.added_tracks.begin_try(video_id, track.id)
            if tries > _MAX_TRIES:
                found[track.id] = TrackCode.INTERNAL
        found |= await self._read([track for track in waiting if track.id not in found])
        for track_id, read in found.items():
            code = read if isinstance(read, TrackCode) else None
            await self._database.added_tracks.settle(video_id, track_id, code)
            _log.info("track read", track=str(track_id), code=code or "")
        return found

    async def _read(self, tracks: Sequence[AddedTrack]) -> dict[UUID, Read]:
        if not tracks:
            return {}
        async with self._work.attempt() as folder:
            return await read_added(self._store, tracks, folder, sandbox_required=self._sandbox_required)

    async def _publish(self, video_id: UUID, read: dict[UUID, Read]) -> None:
        """Raises _ChangedError if it must begin again."""
        # Read before the lock is taken, as by the publication of an encode.
        stream = await read_stream(self._store, video_id)
        video = await self._database.videos.get(video_id)
        if video.publication is None:
            return  # the encode takes the tracks along
        if stream is None:
            raise _ChangedError
        if stream.number != video.published_number and video.status is VideoStatus.PROCESSING:
            raise _ChangedError  # an encode is being published, or failed to
        added = await self._database.added_tracks.of_video(video_id)
        built = await self._build(stream, video, added, read)
        if built.master != stream.master and (complaint := await _complaint(built)):
            _log.error("gate refuses added tracks", complaint=complaint)
            await self._refuse(built)
            raise _ChangedError
        uploader = EncodeUploader(
            self._store, encode_prefix(video_id, stream.number), patience=self._patience
        )
        await uploader.put_texts(built.files)
        await self._commit(built)

    async def _build(
        self, stream: PublishedStream, video: Video, added: Sequence[AddedTrack], read: dict[UUID, Read]
    ) -> _Built:
        tracks = video.publication.tracks if video.publication else ()
        texts = plan_added(added, tracks)
        there = {track.path for track in tracks}
        paths = {
            track_id: f"v{stream.number}/{text_name(text.folder, stream.attempt)}"
            for track_id, text in texts.items()
        }
        new = [track for track in added if track.id in texts and paths[track.id] not in there]
        read |= await self._read([track for track in new if track.id not in read])
        published, reasons = await asyncio.to_thread(
            publish_texts,
            {texts[track.id]: read[track.id] for track in new},
            stream.pictures,
            begins=stream.begins,
            target=stream.target,
            attempt=stream.attempt,
        )
        ids = {text.index: track_id for track_id, text in texts.items()}
        failed = {ids[index]: code for index, code in reasons.items()}
        return _Built(
            stream=stream,
            video=video,
            added=added,
            texts=texts,
            paths={track_id: path for track_id, path in paths.items() if track_id not in failed},
            reasons=failed,
            files={path: text for found in published for path, text in found.files.items()},
            sizes={
                ids[found.text.index]: sum(len(text.encode()) for text in found.files.values())
                for found in published
            },
        )

    async def _refuse(self, built: _Built) -> None:
        """The rules of the gate are ours, so this is a defect of this program: the new tracks fail."""
        for track_id in built.sizes or built.paths:
            await self._database.added_tracks.settle(built.video.id, track_id, TrackCode.INTERNAL)

    async def _commit(self, built: _Built) -> None:
        """Replaces the master playlist and the publication under the row lock. Raises _ChangedError."""
        video_id, master = built.video.id, built.master
        async with self._database.transaction() as transaction:
            video = await transaction.added_tracks.lock_video(video_id)
            if video is None:
                raise VideoNotFoundError(video_id)
            is_same = video.published_number == built.video.published_number and video.publication
            if not is_same or await transaction.added_tracks.of_video(video_id) != built.added:
                raise _ChangedError
            if master != built.stream.master:
                await self._replace(video_id, master, etag=built.stream.etag)
                # Before the commit, so that clients that see READY find the track at the edge.
                await self._edge.refresh_master(video_id)
            publication = _with_tracks(video, built)
            if publication == video.publication:
                return
            for track in built.added:
                if size := built.sizes.get(track.id):
                    await transaction.usages.note_stored(video_id, track.stored_as, track.size_bytes + size)
            video = await transaction.added_tracks.publish(video_id, publication)
        await self._announcer.announce(video_id, video.version)
        _log.info("tracks published", encode=built.stream.number, added=len(built.paths))

    async def _replace(self, video_id: UUID, master: str, *, etag: str) -> None:
        try:
            await self._store.replace(
                master_key(video_id),
                master.encode(),
                etag=etag,
                content_type=PLAYLIST_TYPE,
                cache_control=MASTER_CACHE,
            )
        except ObjectReplacedError:
            raise _ChangedError from None

    async def _deleted(self, video_id: UUID) -> Verdict:
        """Has the objects removed that this or an ended worker may have written after the deletion."""
        try:
            async with self._database.transaction() as transaction:
                await transaction.jobs.enqueue(RemoveJob(video_id=video_id, turn=_LATE), delay=_PAUSE)
        except BackendUnavailableError:
            return _again("outage", timedelta(seconds=backoff(0)))
        count_job("publish-tracks", "deleted")
        return DONE


def _with_tracks(video: Video, built: _Built) -> Publication:
    assert video.publication is not None  # noqa: S101 - the caller checks
    embedded = tuple(track for track in video.publication.tracks if track.is_embedded)
    added = described(built.added, built.texts, built.paths, built.reasons)
    return replace(video.publication, tracks=(*embedded, *added))


async def _complaint(built: _Built) -> str:
    """Returns what the rules of `gostream verify` say against it; "" for nothing."""
    stream, prefix = built.stream, f"v{built.stream.number}/"
    contents = {prefix + path: text.encode() for path, text in built.files.items()}
    contents |= {MASTER: built.master.encode(), stream.playlist_path: stream.playlist}
    report = await check_texts(contents, {(stream.first_path, None): stream.first}, master=MASTER)
    broken = report.broken(Severity.MUST)
    return "; ".join(f"{each.rule.id}: {each.findings[0].where}: {each.findings[0].why}" for each in broken)


def _again(outcome: str, pause: timedelta) -> Verdict:
    count_job("publish-tracks", outcome)
    return Verdict(pause)
