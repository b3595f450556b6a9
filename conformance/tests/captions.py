"""Masters whose variants agree or disagree on closed captions."""

from pathlib import Path

from .breaking import MASTER, Spoil
from .defects import Defect

SOME, NONE = 'CLOSED-CAPTIONS="cc",', "CLOSED-CAPTIONS=NONE,"


def captioned(*variants: str) -> Spoil:
    """Adds a group of captions, and an attribute to each variant."""
    group = '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="en",INSTREAM-ID="CC1"\n'

    def spoil(tree: Path) -> None:
        head, *parts = (tree / MASTER).read_text().split("#EXT-X-STREAM-INF:")
        lines = [f"#EXT-X-STREAM-INF:{word}{part}" for word, part in zip(variants, parts, strict=True)]
        (tree / MASTER).write_text("".join([head, group, *lines]))

    return spoil


CAPTION_DEFECTS = [
    Defect("captions in the first variant only", "master.captions", captioned(SOME, "")),
    Defect("captions in the last variant only", "master.captions", captioned("", SOME)),
    Defect("no captions in one variant, silence in another", "master.captions", captioned(NONE, "")),
    Defect("captions, and none at all", "master.captions", captioned(SOME, NONE)),
]
