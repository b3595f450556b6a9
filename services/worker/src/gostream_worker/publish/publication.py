"""Builds the values for the row of a published video. Pure."""

from gostream_shared.domain.video import Publication, Source
from gostream_worker.plan.plan import Plan
from gostream_worker.probe.model import Probe
from gostream_worker.publish.presentation import Presentation
from gostream_worker.publish.thumbnails import Thumbnails


def describe_publication(
    probe: Probe, plan: Plan, presentation: Presentation, thumbnails: Thumbnails, *, prefix: str
) -> Publication:
    """`prefix`: the folder of the encode below hls/{id}/."""
    codecs = [probe.video.codec, *(sound.audio.codec for sound in plan.sounds)]
    return Publication(
        duration=presentation.duration,
        source=Source(
            container=probe.container,
            codecs=tuple(dict.fromkeys(codecs)),
            size_bytes=probe.size_bytes,
            fps=float(probe.video.average_fps),
        ),
        renditions=presentation.renditions,
        poster=prefix + thumbnails.poster_name if thumbnails.poster_name else None,
        storyboard=prefix + thumbnails.storyboard_name if thumbnails.storyboard_name else None,
        tracks=plan.tracks,
    )
