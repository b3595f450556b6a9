"""The conversion of videos equals a straightforward one that assigns whole messages, byte for byte."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from uuid import UUID
from zlib import crc32

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gostream.v1 import video_pb2
from gostream.v1.video_service_pb2 import BatchGetVideosResponse, ListVideosResponse
from gostream_api.rpc.convert import encode_video, video_message
from gostream_api.rpc.encoded_reads import concatenated
from gostream_api.rpc.json.bodies import video_body
from gostream_api.rpc.pages import PageEncoder
from gostream_shared.cache.entries.codec import reply_form
from gostream_shared.domain.encode import Progress
from gostream_shared.domain.object_keys import early_master_key, hls_prefix, master_key
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_shared.domain.video import (
    Failure,
    MediaKind,
    Publication,
    Rendition,
    Source,
    Video,
    VideoStatus,
)
from gostream_shared.domain.videos.downloads import Download, DownloadState
from gostream_shared.domain.videos.loudness import Loudness
from tests.support.videos import listed, make_video

CDN = "http://cdn.test"

texts = st.text(max_size=20)
small, large = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-9))]),
)
spans = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)) | st.sampled_from(
    [timedelta(), timedelta(microseconds=-1), timedelta(seconds=-1), timedelta(seconds=-1, microseconds=1)]
)
renditions = st.builds(
    Rendition,
    name=texts,
    width=small,
    height=small,
    codecs=texts,
    average_bandwidth=large,
    peak_bandwidth=large,
)
sources = st.builds(
    Source, container=texts, codecs=st.lists(texts, max_size=3).map(tuple), size_bytes=large, fps=st.floats()
)
tracks = st.builds(
    Track,
    id=texts,
    kind=st.sampled_from(TrackKind),
    state=st.sampled_from(TrackState),
    language=texts,
    name=texts,
    is_default=st.booleans(),
    is_forced=st.booleans(),
    is_sdh=st.booleans(),
    is_embedded=st.booleans(),
    channels=small,
    error_code=texts,
    path=st.none() | texts,
)
publications = st.builds(
    Publication,
    duration=spans,
    source=sources,
    renditions=st.lists(renditions, max_size=4).map(tuple),
    poster=st.none() | texts,
    storyboard=st.none() | texts,
    preview=st.none() | texts,
    tracks=st.lists(tracks, max_size=3).map(tuple),
    media_kind=st.sampled_from(MediaKind),
    loudness=st.none() | st.builds(Loudness, integrated_lufs=st.floats(), true_peak_dbtp=st.floats()),
)
failures = st.builds(Failure, code=texts, message=texts, retryable=st.booleans(), stage=texts)
numbers = st.integers(0, 3)
videos = st.builds(
    Video,
    id=st.uuids(),
    user_id=texts,
    title=texts,
    status=st.sampled_from(VideoStatus),
    version=large,
    content_type=texts,
    created_at=moments,
    updated_at=moments,
    ready_at=st.none() | moments,
    encode_number=numbers,
    attempt=numbers,
    published_number=st.none() | numbers,
    playable_number=st.none() | numbers,
    publication=st.none() | publications,
    failure=st.none() | failures,
    labels=st.dictionaries(texts, texts, max_size=5),
    external_id=texts,
    expires_at=st.none() | moments,
    deleted_at=st.none() | moments,
    playback_policy=st.sampled_from(PlaybackPolicy),
)
progresses = st.builds(Progress, stage=texts, percent=st.floats(0, 100), eta=st.none() | spans)


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def serialized(message: Message) -> bytes:
    """The bytes with the labels in the order of their keys."""
    return message.SerializeToString(deterministic=True)


def duration(span: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(span)
    return message


def straightforward(video: Video, progress: Progress | None = None) -> video_pb2.Video:
    """The same message from whole nested messages and protobuf's own conversions of times."""
    message = video_pb2.Video(
        id=str(video.id),
        user_id=video.user_id,
        title=video.title,
        status=video_pb2.Video.Status.Value(f"STATUS_{video.status}"),
        version=video.version,
        etag=video.etag,
        create_time=timestamp(video.created_at),
        update_time=timestamp(video.updated_at),
        ready_time=timestamp(video.ready_at) if video.ready_at else None,
        labels=video.labels,
        external_id=video.external_id,
        expire_time=timestamp(video.expires_at) if video.expires_at else None,
        delete_time=timestamp(video.deleted_at) if video.deleted_at else None,
        playback_policy=video_pb2.PlaybackPolicy.Value(f"PLAYBACK_POLICY_{video.playback_policy}"),
        playback_epoch=video.playback_epoch,
    )
    if video.status is VideoStatus.PROCESSING:
        message.processing.CopyFrom(processing(video, progress))
    if video.failure:
        failure = video.failure
        message.error.CopyFrom(
            video_pb2.ProcessingError(
                code=failure.code, message=failure.message, retryable=failure.retryable, stage=failure.stage
            )
        )
    if video.publication:
        message.MergeFrom(published(video, video.publication))
    if video.playback_policy is not PlaybackPolicy.PUBLIC:
        for field in ("playback_url", "poster_url", "storyboard_url", "preview_url"):
            message.ClearField(field)
        for track in message.tracks:
            track.ClearField("url")
        if message.HasField("processing"):
            message.processing.ClearField("playable_url")
    return message


def processing(video: Video, progress: Progress | None) -> video_pb2.Processing:
    playable = video.playable_number == video.encode_number
    early = f"{CDN}/{early_master_key(video.id, video.encode_number)}"
    message = video_pb2.Processing(
        stage="queued" if video.attempt == 0 else "",
        attempt=video.attempt,
        encode_id=str(video.encode_number),
        playable_url=early if playable else "",
    )
    if progress:
        message.stage, message.percent = progress.stage, progress.percent
        if progress.eta is not None:
            message.eta.CopyFrom(duration(progress.eta))
    return message


def track_message(track: Track, below: str) -> video_pb2.Track:
    return video_pb2.Track(
        id=track.id,
        kind=video_pb2.Track.Kind.Value(f"KIND_{track.kind}"),
        language=track.language,
        name=track.name,
        is_default=track.is_default,
        is_forced=track.is_forced,
        is_sdh=track.is_sdh,
        is_embedded=track.is_embedded,
        channels=track.channels,
        state=video_pb2.Track.State.Value(f"STATE_{track.state}"),
        error_code=track.error_code,
        url=below + track.path if track.path else "",
    )


def published(video: Video, publication: Publication) -> video_pb2.Video:
    below = f"{CDN}/{hls_prefix(video.id)}"
    source = publication.source
    message = video_pb2.Video(
        source=video_pb2.Source(
            container=source.container, codecs=source.codecs, size_bytes=source.size_bytes, fps=source.fps
        ),
        duration=duration(publication.duration),
        renditions=[
            video_pb2.Rendition(
                name=each.name,
                width=each.width,
                height=each.height,
                codecs=each.codecs,
                average_bandwidth=each.average_bandwidth,
                peak_bandwidth=each.peak_bandwidth,
            )
            for each in publication.renditions
        ],
        playback_url=f"{CDN}/{master_key(video.id)}",
        poster_url=below + publication.poster if publication.poster else "",
        storyboard_url=below + publication.storyboard if publication.storyboard else "",
        preview_url=below + publication.preview if publication.preview else "",
        tracks=[track_message(track, below) for track in publication.tracks],
        media_kind=video_pb2.MediaKind.Value(f"MEDIA_KIND_{publication.media_kind}"),
    )
    if publication.loudness:
        message.loudness.integrated_lufs = publication.loudness.integrated_lufs
        message.loudness.true_peak_dbtp = publication.loudness.true_peak_dbtp
    if publication.renditions:
        largest = max(publication.renditions, key=lambda each: each.width * each.height)
        message.width, message.height = largest.width, largest.height
    return message


@given(videos)
def test_video_equals_the_straightforward_conversion(video: Video) -> None:
    assert encode_video(video, CDN) == serialized(straightforward(video))


@given(videos, progresses)
def test_progress_equals_the_straightforward_conversion(video: Video, progress: Progress) -> None:
    expected = serialized(straightforward(video, progress))

    assert serialized(video_message(video, CDN, progress)) == expected


@given(st.lists(videos, max_size=3), texts)
def test_page_equals_a_serialized_response(page: list[Video], token: str) -> None:
    pages, rows = PageEncoder(CDN), list(map(listed, page))
    messages = [straightforward(video) for video in page]

    expected = serialized(ListVideosResponse(videos=messages, next_page_token=token))
    assert asyncio.run(pages.encode(rows, token)) == expected
    assert asyncio.run(pages.encode(rows, token)) == expected
    assert concatenated(serialized(message) for message in messages) == serialized(
        BatchGetVideosResponse(videos=messages)
    )


@given(st.dictionaries(texts, texts, min_size=2, max_size=64), st.randoms())
def test_order_of_labels_does_not_matter(labels: dict[str, str], chance: Random) -> None:
    shuffled = chance.sample(sorted(labels.items()), len(labels))
    one, other = (replace(make_video(UUID(int=1)), labels=each) for each in (labels, dict(shuffled)))

    assert encode_video(one, CDN) == encode_video(other, CDN)
    assert video_body(encode_video(one, CDN)) == video_body(encode_video(other, CDN))
    assert list(json.loads(video_body(encode_video(one, CDN)))["labels"]) == sorted(labels)


async def test_other_tasks_run_during_a_page() -> None:
    page = [listed(make_video()) for _ in range(1000)]
    encoding = asyncio.ensure_future(PageEncoder(CDN).encode(page, ""))
    turns = 0
    while not encoding.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns >= 20
    assert len(ListVideosResponse.FromString(encoding.result()).videos) == 1000


def test_form_of_replies_changes_with_their_bytes() -> None:
    """Caches keep the bytes. If this fails, increment REPLY_SCHEMA, or SCHEMA for a field of Video."""
    source = Source(container="mov", codecs=("h264", "aac"), size_bytes=1, fps=25.0)
    rung = Rendition(
        name="720p", width=1280, height=720, codecs="avc1", average_bandwidth=1, peak_bandwidth=2
    )
    left_out = Track(
        id="audio-2",
        kind=TrackKind.AUDIO,
        state=TrackState.SKIPPED,
        language="de",
        name="n",
        error_code=TrackCode.TOO_MANY_TRACKS,
        path="t",
    )
    video = replace(
        make_video(UUID(int=1)),
        status=VideoStatus.PROCESSING,
        encode_number=1,
        playable_number=1,
        publication=Publication(
            duration=timedelta(seconds=1.5),
            source=source,
            renditions=(rung,),
            poster="p",
            storyboard="s",
            preview="w",
            tracks=(left_out,),
            downloads=(
                Download(
                    name="highest",
                    state=DownloadState.READY,
                    path="d",
                    size_bytes=5,
                    content_type="video/mp4",
                ),
                Download(name="audio", state=DownloadState.FAILED, error_code="NO_SOUND"),
            ),
            media_kind=MediaKind.AUDIO,
            loudness=Loudness(integrated_lufs=-16.1, true_peak_dbtp=-1.0),
        ),
        failure=Failure(code="c", message="m", retryable=True, stage="s"),
        labels={"b": "2", "a": "1"},
        external_id="7",
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    )

    assert (reply_form(CDN), crc32(encode_video(video, CDN))) == ("9.1.4ad2b67d", 1280441621)
