"""Added subtitles in the text of master playlists."""

from fractions import Fraction
from itertools import product

import pytest

from gostream_worker.captions.master import with_added
from gostream_worker.publish.playlists import (
    AudioRendition,
    Bandwidth,
    IFrameVariant,
    TextRendition,
    Variant,
    master_playlist,
)

RATE = Bandwidth(average=1, peak=2)
VARIANTS = [
    Variant(
        uri=f"v1/{name}/playlist.m3u8", width=9, height=9, fps=Fraction(25), codecs="avc1", bandwidth=RATE
    )
    for name in ("360p", "180p")
]
IFRAMES = [IFrameVariant(uri="v1/180p/iframes.m3u8", width=9, height=9, codecs="avc1", bandwidth=RATE)]
SOUND = AudioRendition(uri="v1/audio/playlist.m3u8", channels=2)
OWN = TextRendition(uri="v1/text-en/playlist.m3u8", name='URI=v1/added-x, "TYPE=SUBTITLES'.replace('"', ""))
ADDED = [
    TextRendition(uri=f"v1/added-{number}/playlist.m3u8", name=f"N {number}", language="de", is_default=True)
    for number in range(3)
]


@pytest.mark.parametrize(
    ("sounds", "own", "before", "after", "captions"),
    list(product([[], [SOUND]], [[], [OWN]], [[], ADDED[:1], ADDED], [[], ADDED[1:2], ADDED], [False, True])),
)
def test_result_is_what_an_encode_would_write(
    sounds: list[AudioRendition],
    own: list[TextRendition],
    before: list[TextRendition],
    after: list[TextRendition],
    captions: bool,
) -> None:
    def written(added: list[TextRendition]) -> str:
        return master_playlist(VARIANTS, sounds, IFRAMES, texts=[*own, *added], captions=captions)

    assert with_added(written(before), after) == written(after)
