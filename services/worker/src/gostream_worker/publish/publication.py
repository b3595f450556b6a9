"""Builds the values for the row of a published video. Pure."""

from dataclasses import replace

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.tracks import Track
from gostream_shared.domain.video import Publication, Source
from gostream_shared.domain.videos.loudness import Loudness
from gostream_worker.object_names import text_name
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.tracks import id_of, with_outcome
from gostream_worker.probe.model import Probe
from gostream_worker.publish.presentation import Presentation
from gostream_worker.publish.thumbnails import Thumbnails


def describe_publication(
    probe: Probe,
    plan: Plan,
    presentation: Presentation,
    thumbnails: Thumbnails,
    encode: Encode,
    loudness: Loudness | None = None,
) -> Publication:
    """Returns what the row says about that encode of the source."""
    prefix, attempt = f"v{encode.number}/", encode.attempt
    codecs = [plan.video.codec, *(sound.audio.codec for sound in plan.sounds)]
    return Publication(
        duration=presentation.duration,
        source=Source(
            container=probe.container,
            codecs=tuple(dict.fromkeys(codecs)),
            size_bytes=probe.size_bytes,
            fps=float(plan.video.average_fps),
        ),
        renditions=presentation.renditions,
        poster=prefix + thumbnails.poster_name if thumbnails.poster_name else None,
        storyboard=prefix + thumbnails.storyboard_name if thumbnails.storyboard_name else None,
        preview=prefix + thumbnails.preview_name if thumbnails.preview_name else None,
        tracks=_tracks(plan, presentation, prefix, attempt),
        loudness=loudness,
    )


def _tracks(plan: Plan, presentation: Presentation, prefix: str, attempt: int) -> tuple[Track, ...]:
    """Returns the planned tracks with the outcome of the subtitles, and where they are."""
    texts = {id_of(text.index, "subtitles"): text for text in plan.texts}
    found = []
    for track in plan.tracks:
        text = texts.get(track.id)
        if text is None:
            found.append(track)
        elif text.index in presentation.unread:
            found.append(with_outcome(track, presentation.unread[text.index]))
        else:
            found.append(replace(track, path=prefix + text_name(text.folder, attempt)))
    return tuple(found)
