"""What a caller asks of one encode besides its profile."""

from dataclasses import dataclass
from datetime import timedelta

#: The downloads that an encode can have: the film in its best quality, and its sound alone.
HIGHEST, AUDIO = "highest", "audio"
DOWNLOADS = (HIGHEST, AUDIO)
#: The shortest clip.
SHORTEST_CLIP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """Options that are the same for every attempt of an encode.

    `start` and `end` are times of the source; the film is what lies between them. `poster_at` is a time of
    the published film. None = the default. `downloads` are names of DOWNLOADS, in that order.
    """

    start: timedelta | None = None
    end: timedelta | None = None
    poster_at: timedelta | None = None
    downloads: tuple[str, ...] = ()

    @property
    def is_clip(self) -> bool:
        return self.start is not None or self.end is not None


#: The options of an encode for which nothing was asked.
USUAL = EncodeOptions()
