"""Reads fragments: the samples of each moof, with their times and their places in the mdat."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from gostream_conformance.errors import FragmentError, MissingMapError
from gostream_conformance.formats.mp4.boxes import Box, Fields, boxes, child, needed
from gostream_conformance.formats.mp4.initialization import Defaults, Initialization, parse_initialization

#: Samples of one segment. Six seconds of pictures and sound have 800.
MAX_SAMPLES = 50_000
_NOT_SYNC = 0x10000
_FAULTS_KEPT = 5
_ABSOLUTE, _DESCRIPTION, _DURATION, _SIZE, _FLAGS, _OF_MOOF = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000  # tfhd
_RUN_OFFSET, _RUN_FIRST, _RUN_DURATION, _RUN_SIZE, _RUN_FLAGS, _RUN_LATE = 1, 4, 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; times in ticks of its track, `offset` in the bytes that were parsed."""

    decoded: int
    shown: int
    duration: int
    offset: int
    size: int
    sync: bool
    moof: int  # the start of its moof, or -1 if it is not the first sample


@dataclass(frozen=True, slots=True)
class Run:
    """The samples of one track in one moof, from tfdt on."""

    track: int
    begin: int
    end: int  # the end of its last sample
    samples: tuple[Sample, ...]


@dataclass(slots=True)
class Fragments:
    """A segment of fragmented MP4."""

    initialization: Initialization
    runs: list[Run] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    offset_faults: list[str] = field(default_factory=list)  # the first few
    order_faults: list[str] = field(default_factory=list)

    def of_track(self, number: int) -> Iterator[Run]:
        return (run for run in self.runs if run.track == number)


def parse_fragments(data: bytes, *, seam: int, cut: bool = False) -> Fragments:
    """Read a segment, which begins at the byte `seam` after its initialization section.

    With `cut`, samples after the end of the bytes are left out. Raises a MalformedError.
    """
    first = parse_initialization(data, seam) if seam else None
    if first is None:
        raise MissingMapError("no initialization section: EXT-X-MAP is missing or has no moov")
    reader = _Reader(data, Fragments(first), cut)
    reader.read(list(boxes(data, seam, len(data), top=True, cut=cut)))
    return reader.found


class _Reader:
    def __init__(self, data: bytes, found: Fragments, cut: bool) -> None:
        self.found = found
        self._data, self._cut = data, cut
        self._samples = self._bytes = 0
        self._ends: dict[int, int] = {}  # of the last data, by track

    def read(self, top: list[Box]) -> None:
        payloads = [box for box in top if box.kind == b"mdat"]
        for box, after in zip_longest(top, top[1:]):
            if box is None or box.kind != b"moof":
                continue
            if after is None or after.kind != b"mdat":
                self._fault(self.found.order_faults, f"the moof at byte {box.start} has no mdat after it")
            payload = next((mdat for mdat in payloads if mdat.start >= box.end), None)
            self._moof(box, payload)
        if not self.found.runs:
            raise FragmentError("a segment without a fragment")

    def _fault(self, faults: list[str], text: str) -> None:
        if len(faults) < _FAULTS_KEPT:
            faults.append(text)

    def _moof(self, moof: Box, payload: Box | None) -> None:
        self.found.sequences.append(Fields(self._data, needed(self._data, moof, b"mfhd"), skip=4).number(4))
        first = moof.start
        for traf in boxes(self._data, moof.body, moof.end):
            if traf.kind == b"traf":
                self._traf(traf, moof, payload, first)
                first = -1

    def _traf(self, traf: Box, moof: Box, payload: Box | None, first: int) -> None:
        head = Fields(self._data, needed(self._data, traf, b"tfhd"))
        _, flags = head.versioned()
        track = head.number(4)
        usual = self.found.initialization.defaults.get(track)
        if usual is None or track not in self.found.initialization.tracks:
            raise FragmentError(f"track {track} is not in the initialization section", offset=traf.start)
        if flags & _ABSOLUTE:
            head.take(8)
        if flags & _ABSOLUTE or not flags & _OF_MOOF:
            text = f"the offsets of track {track} at byte {traf.start} do not count from their moof"
            self._fault(self.found.offset_faults, text)
        if flags & _DESCRIPTION:
            head.take(4)
        usual = Defaults(
            head.number(4) if flags & _DURATION else usual.duration,
            head.number(4) if flags & _SIZE else usual.size,
            head.number(4) if flags & _FLAGS else usual.flags,
        )
        times = child(self._data, traf, b"tfdt")
        if times is None:
            raise FragmentError(f"a fragment of track {track} without tfdt", offset=traf.start)
        time = Fields(self._data, times)
        begin = time.number(8 if time.versioned()[0] else 4)
        samples: list[Sample] = []
        now, at = begin, moof.start
        for trun in boxes(self._data, traf.body, traf.end):
            if trun.kind == b"trun":
                now, at = self._trun(trun, moof, usual, now, at, samples, first if not samples else -1)
        self._check_places(track, samples, payload)
        if samples:
            self.found.runs.append(Run(track, begin, now, tuple(samples)))

    def _trun(
        self, trun: Box, moof: Box, usual: Defaults, now: int, at: int, samples: list[Sample], first: int
    ) -> tuple[int, int]:
        """Add the samples of a run. Returns the decoding time and the offset after it."""
        fields = Fields(self._data, trun)
        version, flags = fields.versioned()
        count = fields.number(4)
        self._samples += count
        if self._samples > MAX_SAMPLES:
            raise FragmentError(f"more than {MAX_SAMPLES} samples", offset=trun.start)
        if flags & _RUN_OFFSET:
            at = moof.start + fields.number(4, signed=True)
        beginning = fields.number(4) if flags & _RUN_FIRST else None
        for number in range(count):
            duration = fields.number(4) if flags & _RUN_DURATION else usual.duration
            size = fields.number(4) if flags & _RUN_SIZE else usual.size
            own = fields.number(4) if flags & _RUN_FLAGS else usual.flags
            late = fields.number(4, signed=version > 0) if flags & _RUN_LATE else 0
            if number == 0 and beginning is not None:
                own = beginning
            self._bytes += size
            # The sum is limited too: samples that overlap would be read again and again.
            inside = at >= 0 and at + size <= len(self._data) and self._bytes <= len(self._data)
            if not inside and not self._cut:
                raise FragmentError(f"a sample of {size} bytes outside its segment", offset=trun.start)
            if inside:
                sync = not own & _NOT_SYNC
                samples.append(Sample(now, now + late, duration, at, size, sync, first))
            first = -1
            now, at = now + duration, at + size
        return now, at

    def _check_places(self, track: int, samples: list[Sample], payload: Box | None) -> None:
        begin, end = (payload.body, payload.end) if payload else (0, 0)
        for sample in samples:
            if not begin <= sample.offset <= sample.offset + sample.size <= end:
                text = f"a sample of track {track} at byte {sample.offset} is not in the mdat of its moof"
                self._fault(self.found.offset_faults, text)
                return
