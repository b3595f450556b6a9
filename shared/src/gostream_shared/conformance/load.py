"""Reading a tree from a Source into a Presentation: bounded in sizes, counts and concurrency."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gostream_shared.conformance.boards import BoardLoader
from gostream_shared.conformance.errors import (
    MalformedError,
    PlaylistError,
    TransportError,
    UnreadableError,
)
from gostream_shared.conformance.playlist import (
    ByteRange,
    MasterPlaylist,
    MediaPlaylist,
    parse_master,
    parse_media,
)
from gostream_shared.conformance.presentation import Answer, Kind, Piece, Presentation, Track
from gostream_shared.conformance.segment import SegmentMeasure, measure_segment
from gostream_shared.conformance.sources import Resource, Source, resolve

Item = TypeVar("Item")
#: What was measured before: (path, byte range or None for the whole segment) → measure. That of a range was
#: taken with the tables of its segment in front.
Measured = Mapping[tuple[str, ByteRange | None], SegmentMeasure]
MISSING_NAME = "gostream-verify-no-such-file.m3u8"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tree may cost. Beyond a limit a resource counts as unreadable.

    `total_bytes` are the bytes read plus the bytes measured. Memory is at most about
    4 × `segment_bytes` × `concurrency`.
    """

    playlist_bytes: int = 8 << 20
    segment_bytes: int = 64 << 20
    playlists: int = 128
    segments: int = 100_000
    pictures: int = 1_000
    total_bytes: int = 64 << 30
    concurrency: int = 4


async def load(source: Source, limits: Limits, *, measured: Measured | None = None) -> Presentation:
    """Read the whole tree, and measure it unless that was done before: then no segment is read.

    Raises UnreadableError when there is not even a master playlist.
    """
    return await _Loader(source, limits, measured).load()


class _Loader:
    def __init__(self, source: Source, limits: Limits, measured: Measured | None) -> None:
        self._source = source
        self._limits = limits
        self._measured = measured
        self._left = limits.total_bytes
        self._found = Presentation(source.master, over_http=source.over_http)

    async def load(self) -> Presentation:
        found = self._found
        resource = await self._read(source_path := self._source.master, self._limits.playlist_bytes)
        if resource.status != 200:
            raise UnreadableError(f"{source_path} answers {resource.status}")
        try:
            found.master = parse_master(resource.body)
        except PlaylistError as error:
            found.unparsed.append((source_path, str(error)))
            return found
        self._place_tracks(found.master)
        await self._each(found.tracks.values(), self._load_playlist)
        await self._each(self._files_of_segments().items(), self._load_file)
        found.files = await self._source.files()
        await self._load_boards()
        if self._source.over_http:
            await self._probe()
        return found

    async def _each(self, items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
        """Run `work` over the items, a few at a time."""
        queue = iter(items)

        async def worker() -> None:
            for item in queue:
                await work(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.concurrency):
                group.create_task(worker())

    async def _read(self, path: str, limit: int) -> Resource:
        """Read within the total; an answer is remembered whatever its status."""
        headers = {"accept-encoding": "gzip"} if path.partition("?")[0].endswith(".m3u8") else None
        resource = await self._source.read(path, limit=min(limit, self._left), headers=headers)
        self._left -= len(resource.body)
        self._found.answers[path] = Answer(resource.status, resource.headers, len(resource.body))
        return resource

    async def _get(self, path: str, where: str, limit: int, *, optional: bool = False) -> bytes | None:
        """The body, or None after noting why there is none; what is optional may be missing."""
        try:
            resource = await self._read(path, limit)
        except UnreadableError as error:
            self._found.unreadable.append((where, str(error)))
            return None
        if resource.status != 200:
            if not (optional and resource.status == 404):
                self._found.unreadable.append((where, f"{path} answers {resource.status}"))
            return None
        return resource.body

    def _resolve(self, playlist: str, uri: str, where: str) -> str | None:
        path = resolve(playlist, uri)
        if path is None:
            self._found.escaping.append((where, uri[:200]))
        return path

    def _place_tracks(self, master: MasterPlaylist) -> None:
        found = self._found
        for rendition in master.renditions:
            if rendition.kind != "AUDIO" or not rendition.uri:
                continue
            if track := self._track(Kind.AUDIO, rendition.uri, rendition.line):
                found.audio_tracks.setdefault(rendition.group, []).append(track)
        for variants, kind, placed in (
            (master.variants, Kind.VIDEO, found.variant_tracks),
            (master.iframes, Kind.IFRAMES, found.iframe_tracks),
        ):
            for variant in variants:
                if track := self._track(kind, variant.uri, variant.line):
                    placed.append((variant, track))

    def _track(self, kind: Kind, uri: str, line: int) -> Track | None:
        where = f"{self._found.master_path}:{line}"
        path = self._resolve(self._found.master_path, uri, where)
        if path is None:
            return None
        if path not in self._found.tracks and len(self._found.tracks) >= self._limits.playlists:
            self._found.unreadable.append((where, f"more than {self._limits.playlists} playlists"))
            return None
        return self._found.tracks.setdefault(path, Track(kind, path))

    async def _load_playlist(self, track: Track) -> None:
        body = await self._get(track.path, track.path, self._limits.playlist_bytes)
        if body is None:
            return
        try:
            track.playlist = await asyncio.to_thread(parse_media, body)
        except PlaylistError as error:
            self._found.unparsed.append((track.path, str(error)))
            return
        track.pieces = list(self._pieces(track, track.playlist))

    def _pieces(self, track: Track, playlist: MediaPlaylist) -> Iterator[Piece]:
        for segment in playlist.segments:
            where = f"{track.path}:{segment.line}"
            path = self._resolve(track.path, segment.uri, where)
            yield Piece(where if segment.byte_range else (path or where), segment, path)

    def _files_of_segments(self) -> dict[str, list[tuple[Track, Piece]]]:
        """Every segment file once, with all that is to be measured in it."""
        files: dict[str, list[tuple[Track, Piece]]] = defaultdict(list)
        count = 0
        for track in self._found.tracks.values():
            for piece in track.pieces:
                count += 1
                if piece.path is not None and count <= self._limits.segments:
                    files[piece.path].append((track, piece))
        if count > self._limits.segments:
            self._found.unreadable.append(
                (self._found.master_path, f"more than {self._limits.segments} segments")
            )
        return files

    async def _load_file(self, item: tuple[str, list[tuple[Track, Piece]]]) -> None:
        path, uses = item
        if self._measured is not None:
            for _, piece in uses:
                self._recall(self._measured, piece, path)
            return
        body = await self._get(path, uses[0][1].where, self._limits.segment_bytes)
        if body is None:
            return
        twins: dict[object, Piece] = {}
        for track, piece in uses:
            twin = twins.setdefault((track.path, piece.segment.map, piece.segment.byte_range), piece)
            if twin is piece:
                await self._measure(track, piece, path, body)
            else:
                piece.size, piece.measure, piece.problem = twin.size, twin.measure, twin.problem

    def _recall(self, measured: Measured, piece: Piece, path: str) -> None:
        part = piece.segment.byte_range
        whole, measure = measured.get((path, None)), measured.get((path, part))
        if whole is None:
            self._found.unreadable.append((piece.where, f"{path} was never written"))
            return
        piece.size = part.size if part else whole.size
        tables = piece.segment.map[1] if piece.segment.map else None
        if measure is None:
            piece.problem = TransportError(f"no key frame has this range of {path}")
        elif part and tables != ByteRange(0, whole.tables_end):
            piece.problem = TransportError("the tables are not where EXT-X-MAP says")
        else:
            piece.measure = measure

    async def _measure(self, track: Track, piece: Piece, path: str, body: bytes) -> None:
        """Measure one piece; what many overlapping ranges of one file cost is bounded by the total, too."""
        part = _cut(body, piece.segment.byte_range)
        self._left -= len(part)
        if self._left < 0:
            self._found.unreadable.append((piece.where, f"more than {self._limits.total_bytes} bytes in all"))
            return
        header = b""
        if piece.segment.map:
            uri, byte_range = piece.segment.map
            header = await self._map(track, piece, uri, byte_range, path, body)
        await asyncio.to_thread(_measure, piece, header, part)

    async def _map(
        self, track: Track, piece: Piece, uri: str, byte_range: ByteRange | None, path: str, body: bytes
    ) -> bytes:
        """The bytes of an EXT-X-MAP, mostly of the file at hand."""
        map_path = self._resolve(track.path, uri, piece.where)
        if map_path == path:
            return _cut(body, byte_range)
        other = await self._get(map_path, piece.where, self._limits.segment_bytes) if map_path else None
        return _cut(other or b"", byte_range)

    async def _load_boards(self) -> None:
        limits = self._limits
        boards = BoardLoader(self._found, get=self._get, resolve=self._resolve, max_pictures=limits.pictures)
        await boards.load(cues_bytes=limits.playlist_bytes, picture_bytes=limits.segment_bytes)

    async def _probe(self) -> None:
        """What only HTTP can be asked: a range, a revalidation, a file that is not there."""
        found, master = self._found, self._found.master_path
        etag = found.answers[master].headers.get("etag", "")
        segment = next((p.path for t in found.tracks.values() for p in t.pieces if p.path), None)
        probes: dict[str, tuple[str, dict[str, str]]] = {"404": (MISSING_NAME, {})}
        if etag:
            probes["304"] = (master, {"if-none-match": etag})
        if segment:
            probes["206"] = (segment, {"range": "bytes=0-187"})
        for name, (path, headers) in probes.items():
            try:
                resource = await self._source.read(path, limit=self._limits.segment_bytes, headers=headers)
            except UnreadableError:
                continue
            found.probes[name] = Answer(resource.status, resource.headers, len(resource.body))


def _cut(body: bytes, byte_range: ByteRange | None) -> bytes:
    return body if byte_range is None else body[byte_range.offset : byte_range.offset + byte_range.size]


def _measure(piece: Piece, header: bytes, body: bytes) -> None:
    piece.size = len(body)
    try:
        piece.measure = measure_segment(header + body, seam=len(header))
    except MalformedError as error:
        piece.problem = error.with_traceback(None)  # whose frames hold the whole segment
