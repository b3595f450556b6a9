"""Converts domain values to protobuf messages."""

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gostream.v1 import video_pb2, video_service_pb2
from gostream_shared.domain.encode import Progress
from gostream_shared.domain.object_keys import early_master_key, hls_prefix, master_key
from gostream_shared.domain.video import Failure, Publication, Rendition, Video, VideoStatus
from gostream_shared.storage.port import PresignedUpload


def encode_video(video: Video, cdn_base_url: str) -> bytes:
    """Returns the encoded reply of GetVideo."""
    return video_message(video, cdn_base_url).SerializeToString()


def video_message(video: Video, cdn_base_url: str, progress: Progress | None = None) -> video_pb2.Video:
    """Returns a video message. Without `progress`, the stage and percentage of the encode stay unset."""
    message = video_pb2.Video(
        id=str(video.id),
        user_id=video.user_id,
        title=video.title,
        status=video_pb2.Video.Status.Value(f"STATUS_{video.status}"),
        version=video.version,
        etag=video.etag,
        create_time=_timestamp(video.created_at),
        update_time=_timestamp(video.updated_at),
        ready_time=_timestamp(video.ready_at) if video.ready_at else None,
        processing=_processing(video, cdn_base_url, progress)
        if video.status is VideoStatus.PROCESSING
        else None,
        error=_error(video.failure) if video.failure else None,
    )
    if video.publication is not None:
        _publish(message, video, video.publication, cdn_base_url)
    return message


def upload_message(upload: PresignedUpload) -> video_service_pb2.Upload:
    return video_service_pb2.Upload(
        method=upload.method,
        url=upload.url,
        headers=dict(upload.headers),
        expire_time=_timestamp(upload.expires_at),
    )


def _publish(message: video_pb2.Video, video: Video, publication: Publication, cdn_base_url: str) -> None:
    largest = max(publication.renditions, key=lambda r: r.width * r.height, default=None)
    if largest is not None:
        message.width, message.height = largest.width, largest.height
    source = publication.source
    message.source.MergeFrom(
        video_pb2.Source(
            container=source.container, codecs=source.codecs, size_bytes=source.size_bytes, fps=source.fps
        )
    )
    message.duration.CopyFrom(_duration(publication.duration))
    message.renditions.extend(_rendition(rendition) for rendition in publication.renditions)
    message.playback_url = f"{cdn_base_url}/{master_key(video.id)}"
    below = f"{cdn_base_url}/{hls_prefix(video.id)}"
    if publication.poster:
        message.poster_url = below + publication.poster
    if publication.storyboard:
        message.storyboard_url = below + publication.storyboard


def _rendition(rendition: Rendition) -> video_pb2.Rendition:
    return video_pb2.Rendition(
        name=rendition.name,
        width=rendition.width,
        height=rendition.height,
        codecs=rendition.codecs,
        average_bandwidth=rendition.average_bandwidth,
        peak_bandwidth=rendition.peak_bandwidth,
    )


def _processing(video: Video, cdn_base_url: str, progress: Progress | None) -> video_pb2.Processing:
    """Returns the processing message. Before the first attempt, the stage is always "queued"."""
    waiting = "queued" if video.attempt == 0 else ""
    early = early_master_key(video.id, video.encode_number)
    return video_pb2.Processing(
        stage=progress.stage if progress else waiting,
        percent=progress.percent if progress else 0,
        eta=_duration(progress.eta) if progress and progress.eta is not None else None,
        attempt=video.attempt,
        encode_id=str(video.encode_number),
        playable_url=f"{cdn_base_url}/{early}" if video.is_playable_early else "",
    )


def _error(failure: Failure) -> video_pb2.ProcessingError:
    return video_pb2.ProcessingError(
        code=failure.code, message=failure.message, retryable=failure.retryable, stage=failure.stage
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _duration(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration
