"""Finds all URIs of a playlist, also in tags that no rule checks."""

import re
from collections.abc import Iterator

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


def uris(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield (line, URI) of each different URI: URI lines and the attributes called URI."""
    seen: set[str] = set()
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        for uri in _of_line(line):
            if uri not in seen:
                seen.add(uri)
                yield number, uri


def _of_line(line: str) -> Iterator[str]:
    if line and not line.startswith("#"):
        yield line
    elif line.startswith("#EXT-X-") and "URI=" in line:  # not EXTINF: its title is free text
        for name, value in _ATTRIBUTE.findall(line.partition(":")[2]):
            if name == "URI":
                yield value.strip('"')
