"""Reads a tree from a Source into a Presentation, with limits on sizes, counts and concurrency."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gostream_conformance.errors import PlaylistError, TransportError, UnreadableError
from gostream_conformance.formats.codecs import is_sound, is_unsupported
from gostream_conformance.playlist.model import ByteRange, MasterPlaylist, MediaPlaylist
from gostream_conformance.playlist.parser import parse_master, parse_media
from gostream_conformance.playlist.uris import uris
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.measuring import measure_piece
from gostream_conformance.tree.presentation import Answer, Kind, Piece, Presentation, Track
from gostream_conformance.tree.sources import Resource, Source, resolve
from gostream_conformance.tree.storyboards import StoryboardLoader
from gostream_conformance.tree.texts import is_text, load_text

Item = TypeVar("Item")
#: Earlier measures by (path, byte range); None = the whole segment. A range is measured after its segment's
#: tables.
Measured = Mapping[tuple[str, ByteRange | None], SegmentMeasure]
MISSING_NAME = "gostream-verify-no-such-file.m3u8"
PROBED_BYTES = 188
#: The headers that rules use; only these are kept, each up to `_HEADER_CHARACTERS`.
_HEADERS = (
    *("access-control-allow-origin", "content-encoding", "content-range", "content-type"),
    *("etag", "location"),
)
_HEADER_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for reading a tree. A resource beyond a limit counts as unreadable.

    `total_bytes` limits the bytes read plus the bytes measured. Memory use is at most about
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
    """Read a tree and measure its segments. With `measured`, read no segment.

    Raises UnreadableError if the master playlist cannot be read.
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
        self._note_uris(source_path, resource.body)
        self._place_tracks(found.master)
        await self._each(found.tracks.values(), self._load_playlist)
        await self._each(self._files_of_segments().items(), self._load_file)
        await self._load_others()
        found.files = await self._files()
        await self._load_storyboards()
        if self._source.over_http:
            await self._probe()
        return found

    async def _each(self, items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
        """Run `work` on all items, a few at a time."""
        queue = iter(items)

        async def worker() -> None:
            for item in queue:
                await work(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.concurrency):
                group.create_task(worker())

    async def _read(self, path: str, limit: int) -> Resource:
        """Read a resource within the total limit, and record the answer of any status."""
        headers = {"accept-encoding": "gzip"} if path.partition("?")[0].endswith(".m3u8") else None
        resource = await self._source.read(path, limit=min(limit, self._left), headers=headers)
        self._left -= len(resource.body)
        self._found.answers[path] = _answer(resource)
        return resource

    async def _get(self, path: str, where: str, limit: int, *, optional: bool = False) -> bytes | None:
        """Returns the body, or None after recording the reason. An optional resource may be missing."""
        try:
            resource = await self._read(path, limit)
        except UnreadableError as error:
            self._found.unreadable.append((where, str(error)))
            return None
        if resource.status != 200:
            if not (optional and 400 <= resource.status < 500):  # stores may answer 403 for a missing file
                self._found.unreadable.append((where, f"{path} answers {resource.status}"))
            return None
        return resource.body

    def _note_uris(self, playlist: str, body: bytes) -> None:
        for line, uri in uris(body):
            self._resolve(playlist, uri, f"{playlist}:{line}")

    def _resolve(self, playlist: str, uri: str, where: str) -> str | None:
        """Returns the path after recording the reference; None if it leaves the tree."""
        path = resolve(playlist, uri)
        if path is None:
            self._found.escaping.append((where, uri[:200]))
        else:
            self._found.referenced.setdefault(path, where)
        return path

    def _place_tracks(self, master: MasterPlaylist) -> None:
        found = self._found
        for rendition in master.renditions:
            if rendition.kind != "AUDIO":
                if rendition.kind == "SUBTITLES":
                    self._track(Kind.TEXT, rendition.uri, rendition.line)
                continue
            group = found.audio_tracks.setdefault(rendition.group, [])
            if not rendition.uri:
                group.append(None)
            elif track := self._track(Kind.AUDIO, rendition.uri, rendition.line):
                group.append(track)
        for variant in master.variants:
            kind = Kind.AUDIO if variant.audio_only else Kind.VIDEO
            if track := self._track(kind, variant.uri, variant.line):
                found.variant_tracks.append((variant, track))
        for variant in master.iframes:
            if track := self._track(Kind.IFRAMES, variant.uri, variant.line):
                found.iframe_tracks.append((variant, track))
        self._mark_unsupported()

    def _mark_unsupported(self) -> None:
        """Mark tracks whose CODECS are neither H.264 nor AAC, which are not measured."""
        found = self._found
        for variant, track in (*found.variant_tracks, *found.iframe_tracks):
            for codec in filter(is_unsupported, variant.codecs):
                for holder in found.sound_of(variant, track) if is_sound(codec) else [track]:
                    holder.unsupported = codec

    def _track(self, kind: Kind, uri: str, line: int) -> Track | None:
        where = f"{self._found.master_path}:{line}"
        path = resolve(self._found.master_path, uri)
        if path is None:
            return None  # recorded by `_note_uris`
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
        self._note_uris(track.path, body)
        track.pieces = list(_pieces(track.path, track.playlist))
        track.unsupported = track.playlist.unsupported or track.unsupported

    def _files_of_segments(self) -> dict[str, list[tuple[Track, Piece]]]:
        """Returns every segment file once, with the pieces to measure in it."""
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
        if is_text(uses):
            await load_text(path, [piece for _, piece in uses], self._get)
            return
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
        if part and part.end > whole.size:
            self._found.unreadable.append((piece.where, _beyond(path, whole.size, part)))
            return
        piece.size = part.size if part else whole.size
        tables = piece.segment.map[1] if piece.segment.map else None
        if measure is None:
            piece.problem = TransportError(f"no key frame has this range of {path}")
        elif part and tables != ByteRange(0, whole.tables_end):
            piece.problem = TransportError("EXT-X-MAP does not match the tables")
        else:
            piece.measure = measure

    async def _measure(self, track: Track, piece: Piece, path: str, body: bytes) -> None:
        """Measure one piece. The total limit also bounds many overlapping ranges of one file."""
        try:
            part = cut(path, body, piece.segment.byte_range)
            header = b"" if track.unsupported else await self._header(track, piece, path, body)
        except UnreadableError as error:
            self._found.unreadable.append((piece.where, str(error)))
            return
        self._left -= len(header) + len(part)
        if self._left < 0:
            self._found.unreadable.append((piece.where, f"more than {self._limits.total_bytes} bytes in all"))
            return
        piece.size = len(part)
        if not track.unsupported:
            await asyncio.to_thread(measure_piece, piece, header, part, track.kind is Kind.IFRAMES)

    async def _header(self, track: Track, piece: Piece, path: str, body: bytes) -> bytes:
        """Returns the bytes of the piece's EXT-X-MAP, usually from the same file. Raises UnreadableError."""
        if piece.segment.map is None:
            return b""
        uri, byte_range = piece.segment.map
        map_path = resolve(track.path, uri)
        if map_path == path:
            return cut(path, body, byte_range)
        other = await self._get(map_path, piece.where, self._limits.segment_bytes) if map_path else None
        return b"" if map_path is None or other is None else cut(map_path, other, byte_range)

    async def _load_others(self) -> None:
        """Read all other referenced files, including references of playlists among them."""
        found, limit = self._found, self._limits.segments
        asked = {*found.answers, *found.tracks}
        asked.update(piece.path for track in found.tracks.values() for piece in track.pieces if piece.path)
        left = limit
        while others := [item for item in found.referenced.items() if item[0] not in asked]:
            if len(others) > left:
                found.unreadable.append((found.master_path, f"more than {limit} other files"))
                return
            left -= len(others)
            asked.update(path for path, _ in others)
            await self._each(others, self._load_other)

    async def _load_other(self, item: tuple[str, str]) -> None:
        path, where = item
        body = await self._get(path, where, self._limits.segment_bytes)
        if body and body.startswith(b"#EXTM3U"):
            self._note_uris(path, body)

    async def _files(self) -> frozenset[str] | None:
        """Returns the files of the tree; an empty set after recording that they cannot be listed."""
        try:
            return await self._source.files()
        except UnreadableError as error:
            self._found.unreadable.append((self._found.master_path, str(error)))
            return frozenset()

    async def _load_storyboards(self) -> None:
        limits = self._limits
        loader = StoryboardLoader(
            self._found, get=self._get, resolve=self._resolve, max_pictures=limits.pictures
        )
        await loader.load(cues_bytes=limits.playlist_bytes, picture_bytes=limits.segment_bytes)

    async def _probe(self) -> None:
        """Send the HTTP-only requests: a range, a revalidation, a missing file."""
        found, master = self._found, self._found.master_path
        etag = found.answers[master].headers.get("etag", "")
        paths = (piece.path for track in found.tracks.values() for piece in track.pieces if piece.size)
        segment = next(paths, None)
        probes: dict[str, tuple[str, dict[str, str]]] = {"404": (MISSING_NAME, {})}
        if etag and len(etag) < _HEADER_CHARACTERS:
            probes["304"] = (master, {"if-none-match": etag})
        if segment:
            probes["206"] = (segment, {"range": f"bytes=0-{PROBED_BYTES - 1}"})
        for name, (path, headers) in probes.items():
            try:
                resource = await self._source.read(path, limit=self._limits.segment_bytes, headers=headers)
            except UnreadableError:
                continue
            found.probes[name] = path, _answer(resource)


def _pieces(playlist_path: str, playlist: MediaPlaylist) -> Iterator[Piece]:
    for segment in playlist.segments:
        where = f"{playlist_path}:{segment.line}"
        path = resolve(playlist_path, segment.uri)
        yield Piece(where if segment.byte_range else (path or where), segment, path)


def _answer(resource: Resource) -> Answer:
    kept = {
        name: resource.headers[name][:_HEADER_CHARACTERS] for name in _HEADERS if name in resource.headers
    }
    return Answer(resource.status, kept, len(resource.body))


def cut(path: str, body: bytes, byte_range: ByteRange | None) -> bytes:
    """Returns the byte range of the body, or all of it. Raises UnreadableError if the body is shorter."""
    if byte_range is None:
        return body
    if byte_range.end > len(body):
        raise UnreadableError(_beyond(path, len(body), byte_range))
    return body[byte_range.offset : byte_range.end]


def _beyond(path: str, size: int, byte_range: ByteRange) -> str:
    return f"{path} has {size} bytes, the byte range ends at {byte_range.end}"
