"""CreateVideo for a source that no one uploads: a URL, or an object of the bucket."""

from dataclasses import dataclass, replace

from gostream_api.principal import ADMIN, Principal
from gostream_api.videos.sources import first_job
from gostream_api.videos.trail import SAME_REQUEST, Call, Origin
from gostream_api.videos.video_service import Limits, VideoDraft
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.errors import (
    InvalidRequestError,
    ScopeMissingError,
    SourceUnreachableError,
    SourceUrlRefusedError,
    Violation,
)
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.video import Video
from gostream_shared.egress.guard import EgressGuard, UrlRefusedError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """Which remote sources this deployment admits. Without `key_prefixes`, no object key."""

    guard: EgressGuard
    key_prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, guard: EgressGuard, key_prefixes: str) -> "SourceRules":
        """`key_prefixes`: separated by commas."""
        prefixes = [part.strip() for part in key_prefixes.split(",")]
        return cls(guard=guard, key_prefixes=tuple(filter(None, prefixes)))

    def checked(self, source: RemoteSource) -> RemoteSource:
        """Returns the source as it will be read. Raises SourceUrlRefusedError and InvalidRequestError."""
        if source.key:
            if not self._admits(source.key):
                raise InvalidRequestError(
                    Violation("source_key", "must be a plain key below a prefix that the server admits")
                )
            return source
        try:
            return RemoteSource(url=str(self.guard.check_url(source.url)))
        except UrlRefusedError as error:
            raise SourceUrlRefusedError(str(error)) from None

    def _admits(self, key: str) -> bool:
        """A key with steps like `..` is refused: proxies before a store may resolve them."""
        steps = key.split("/")
        is_plain = not {"", ".", ".."} & set(steps) and key.isprintable() and not set("\\%?#") & set(key)
        return is_plain and key.startswith(self.key_prefixes)


class IngestService:
    """Creates videos that are processed without an upload. Promises the same as VideoService."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        announcer: ChangeAnnouncer,
        limits: Limits,
        rules: SourceRules,
    ) -> None:
        self._database = database
        self._store = store
        self._announcer = announcer
        self._limits = limits
        self._rules = rules

    async def create_video(
        self, caller: Principal, origin: Origin, draft: VideoDraft, source: RemoteSource
    ) -> Video:
        """Create a video and start its processing, or find the video that this request_id created.

        A key requires ADMIN, because nothing tells whose data the object is. Raises ScopeMissingError,
        SourceUrlRefusedError, SourceUnreachableError, InvalidRequestError, RequestIdReusedError,
        QueueFullError and QuotaExceededError.
        """
        call = Call("CreateVideo", caller, origin)
        draft = replace(draft, user_id=caller.owner_of_new(draft.user_id))
        if source.key and ADMIN not in caller.scopes:
            raise ScopeMissingError(ADMIN, principal=caller.id)
        source = self._rules.checked(source)
        if source.key:
            await self._require_object(source.key)
        new = draft.new_video(caller)
        async with self._database.transaction() as transaction:
            video = await transaction.videos.create(new)
            is_new = video.id == new.id
            if is_new:
                await self._limits.quotas.require_room(
                    transaction.encodes, video.user_id, queue_limit=self._limits.queue_limit
                )
                video = await self._start(transaction, video, draft, source)
                await transaction.trail.add(call.changed(video.id, _values(video, draft, source)))
            else:
                await transaction.trail.add(call.unchanged(video.id, SAME_REQUEST))
        if is_new:  # a cache may hold "no such video" for the new id
            await self._announcer.announce(video.id, video.version)
        return video

    async def _start(
        self, transaction: Transaction, video: Video, draft: VideoDraft, source: RemoteSource
    ) -> Video:
        """Returns the new video, whose processing has started. The size of its source is not known yet."""
        await transaction.remote_sources.add(video.id, source)
        encode = await transaction.encodes.start_encode(
            video.id, profile=draft.profile, loudness=draft.loudness, options=draft.options
        )
        await self._limits.quotas.require_video(transaction, video.user_id)
        turn = await self._limits.quotas.require_encode(transaction, video, source_size=0)
        if encode is not None:  # always: the video is new
            await transaction.jobs.enqueue(first_job(encode, source), turn=turn)
        return await transaction.videos.get(video.id)

    async def _require_object(self, key: str) -> None:
        try:
            found = await self._store.head(key)
        except ObjectNotFoundError:
            raise SourceUnreachableError from None
        most = self._limits.source_max_bytes
        if found.size > most:
            violation = Violation("source_key", f"must name an object of at most {most} bytes")
            raise InvalidRequestError(violation)


def _values(video: Video, draft: VideoDraft, source: RemoteSource) -> dict[str, str | int | bool]:
    """Returns the values for the trail, which has no URLs and no keys."""
    return {
        "status": video.status.value,
        "playback_policy": video.playback_policy.value,
        "profile": draft.profile,
        "encode_number": video.encode_number,
        "source": "key" if source.key else "url",
    }
