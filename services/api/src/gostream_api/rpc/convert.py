"""Converts domain values to protobuf messages.

Nested messages are filled in place: protobuf copies a message that is passed to another one. The fields of
times are set directly, because `FromDatetime` costs several times as much.
"""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gostream.v1 import video_pb2, video_service_pb2
from gostream_api.videos.playback import PlaybackUrls
from gostream_shared.domain.encode import Progress
from gostream_shared.domain.object_keys import MASTER, early_master_key, hls_prefix
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.tracks import Track, TrackKind, TrackState
from gostream_shared.domain.video import Failure, MediaKind, Publication, Video, VideoStatus
from gostream_shared.domain.videos.downloads import Download, DownloadState
from gostream_shared.storage.port import PresignedUpload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_SECOND = 10**9  # in nanoseconds
_POLICIES = {policy: video_pb2.PlaybackPolicy.Value(f"PLAYBACK_POLICY_{policy}") for policy in PlaybackPolicy}
_KINDS = {kind: video_pb2.Track.Kind.Value(f"KIND_{kind}") for kind in TrackKind}
_STATES = {state: video_pb2.Track.State.Value(f"STATE_{state}") for state in TrackState}
_DOWNLOAD_STATES = {state: video_pb2.Download.State.Value(f"STATE_{state}") for state in DownloadState}
_MEDIA_KINDS = {kind: video_pb2.MediaKind.Value(f"MEDIA_KIND_{kind}") for kind in MediaKind}
_STATUSES = {status: video_pb2.Video.Status.Value(f"STATUS_{status}") for status in VideoStatus}


def encode_video(video: Video, cdn_base_url: str) -> bytes:
    """Returns the encoded reply of GetVideo. Equal videos have equal bytes in every process."""
    message = video_message(video, cdn_base_url)
    return message.SerializeToString(deterministic=True) if video.labels else message.SerializeToString()


def owner_of(reply: bytes) -> str:
    """Returns the owner of the video of an encoded reply."""
    return video_pb2.Video.FromString(reply).user_id


def video_message(video: Video, cdn_base_url: str, progress: Progress | None = None) -> video_pb2.Video:
    """Returns a video message. Without `progress`, the stage and percentage of the encode stay unset."""
    message = video_pb2.Video(
        id=str(video.id),
        user_id=video.user_id,
        title=video.title,
        status=_STATUSES[video.status],
        version=video.version,
        etag=video.etag,
        playback_policy=_POLICIES[video.playback_policy],
        playback_epoch=video.playback_epoch,
    )
    if video.labels:
        message.labels.update(video.labels)
    if video.external_id:
        message.external_id = video.external_id
    _set_time(message.create_time, video.created_at)
    _set_time(message.update_time, video.updated_at)
    if video.ready_at is not None:
        _set_time(message.ready_time, video.ready_at)
    if video.expires_at is not None:
        _set_time(message.expire_time, video.expires_at)
    if video.deleted_at is not None:
        _set_time(message.delete_time, video.deleted_at)
    if video.status is VideoStatus.PROCESSING:
        _set_processing(message.processing, video, cdn_base_url, progress)
    if video.failure is not None:
        _set_error(message.error, video.failure)
    if video.publication is not None:
        _publish(message, video, video.publication, cdn_base_url)
    return message


def upload_message(upload: PresignedUpload) -> video_service_pb2.Upload:
    message = video_service_pb2.Upload(method=upload.method, url=upload.url, headers=dict(upload.headers))
    _set_time(message.expire_time, upload.expires_at)
    return message


def playback_message(urls: PlaybackUrls) -> video_service_pb2.GetPlaybackInfoResponse:
    message = video_service_pb2.GetPlaybackInfoResponse(
        playback_url=urls.playback,
        poster_url=urls.poster,
        storyboard_url=urls.storyboard,
        preview_url=urls.preview,
        playable_url=urls.playable,
    )
    message.downloads.extend(_download(download, url) for download, url in urls.downloads)
    if urls.expires_at is not None:
        _set_time(message.expire_time, urls.expires_at)
    return message


def _publish(message: video_pb2.Video, video: Video, publication: Publication, cdn_base_url: str) -> None:
    largest = max(publication.renditions, key=lambda r: r.width * r.height, default=None)
    if largest is not None:
        message.width, message.height = largest.width, largest.height
    source = message.source
    source.container, source.fps = publication.source.container, publication.source.fps
    source.size_bytes = publication.source.size_bytes
    source.codecs.extend(publication.source.codecs)
    _set_duration(message.duration, publication.duration)
    for rendition in publication.renditions:
        message.renditions.add(
            name=rendition.name,
            width=rendition.width,
            height=rendition.height,
            codecs=rendition.codecs,
            average_bandwidth=rendition.average_bandwidth,
            peak_bandwidth=rendition.peak_bandwidth,
        )
    is_public = video.playback_policy is PlaybackPolicy.PUBLIC
    below = f"{cdn_base_url}/{hls_prefix(video.id)}"
    for download in publication.downloads:
        message.downloads.append(_download(download, below + download.path if is_public else ""))
    message.tracks.extend(_track(track, below if is_public else None) for track in publication.tracks)
    message.media_kind = _MEDIA_KINDS[publication.media_kind]
    if publication.loudness is not None:
        message.loudness.integrated_lufs = publication.loudness.integrated_lufs
        message.loudness.true_peak_dbtp = publication.loudness.true_peak_dbtp
    if not is_public:
        return  # GetPlaybackInfo has the URLs: this reply is shared by all callers
    message.playback_url = below + MASTER
    if publication.poster:
        message.poster_url = below + publication.poster
    if publication.storyboard:
        message.storyboard_url = below + publication.storyboard
    if publication.preview:
        message.preview_url = below + publication.preview


def _download(download: Download, url: str) -> video_pb2.Download:
    is_ready = download.state is DownloadState.READY
    return video_pb2.Download(
        name=download.name,
        state=_DOWNLOAD_STATES[download.state],
        url=url if is_ready else "",
        size_bytes=download.size_bytes,
        content_type=download.content_type,
        error_code=download.error_code,
    )


def track_message(video: Video, track: Track, cdn_base_url: str) -> video_pb2.Track:
    """Returns a track of a video."""
    is_public = video.playback_policy is PlaybackPolicy.PUBLIC
    return _track(track, f"{cdn_base_url}/{hls_prefix(video.id)}" if is_public else None)


def _track(track: Track, below: str | None) -> video_pb2.Track:
    """`below` is the URL of the video's folder, None if the reply must have no URLs."""
    return video_pb2.Track(
        id=track.id,
        kind=_KINDS[track.kind],
        language=track.language,
        name=track.name,
        is_default=track.is_default,
        is_forced=track.is_forced,
        is_sdh=track.is_sdh,
        is_embedded=track.is_embedded,
        channels=track.channels,
        state=_STATES[track.state],
        error_code=track.error_code,
        url=below + track.path if below and track.path else "",
    )


def _set_processing(
    message: video_pb2.Processing, video: Video, cdn_base_url: str, progress: Progress | None
) -> None:
    """Set the processing message. Before the first attempt, the stage is always "queued"."""
    message.attempt, message.encode_id = video.attempt, str(video.encode_number)
    if progress is not None:
        message.stage, message.percent = progress.stage, progress.percent
        if progress.eta is not None:
            _set_duration(message.eta, progress.eta)
    elif video.attempt == 0:
        message.stage = "queued"
    if video.is_playable_early and video.playback_policy is PlaybackPolicy.PUBLIC:
        message.playable_url = f"{cdn_base_url}/{early_master_key(video.id, video.encode_number)}"


def _set_error(message: video_pb2.ProcessingError, failure: Failure) -> None:
    message.code, message.message = failure.code, failure.message
    message.retryable, message.stage = failure.retryable, failure.stage


def _set_time(message: Timestamp, moment: datetime) -> None:
    since = moment - _EPOCH
    message.seconds, message.nanos = since.days * _DAY + since.seconds, since.microseconds * 1000


def _set_duration(message: Duration, span: timedelta) -> None:
    """Set a duration. In protobuf, seconds and nanos have one sign; in timedelta only days have a sign."""
    seconds, nanos = span.days * _DAY + span.seconds, span.microseconds * 1000
    if seconds < 0 < nanos:
        seconds, nanos = seconds + 1, nanos - _SECOND
    message.seconds, message.nanos = seconds, nanos
