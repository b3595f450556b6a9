"""The fuzz targets by name, and the inputs that are kept."""

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.fuzz import door, parsers, tokens

CORPUS = Path(__file__).parent / "corpus"
#: The largest input. A longer one finds nothing that a shorter one does not.
LARGEST = 2048

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "door": door.connection,
    "framing": parsers.framing,
    "requests": parsers.requests,
    "replies": parsers.replies,
    "page_tokens": parsers.page_tokens,
    "conformance": parsers.conformance,
    "fragments": parsers.fragments,
    "probe": parsers.probe,
    "text_files": parsers.text_files,
    "texts": parsers.texts,
    "tokens": tokens.tokens,
    "key_sets": tokens.key_sets,
}


def kept(name: str) -> list[Path]:
    """The kept inputs of a target: seeds, and what once failed."""
    return sorted((CORPUS / name).iterdir())


def mutants(name: str, count: int) -> Iterator[bytes]:
    """Random changes of the kept inputs, the same in each run."""
    chance = random.Random(name)
    seeds = [path.read_bytes() for path in kept(name)]
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        yield bytes(data[:LARGEST])
