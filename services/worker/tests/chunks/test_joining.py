"""The chunks of a film make one stream."""

import subprocess
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan.chunks import WHOLE
from gostream_worker.plan.plan import Plan
from gostream_worker.publish.measure import Measured, require_bounded_peaks
from services.worker.tests.chunks.chunk_runs import contents, divided, encode
from services.worker.tests.chunks.joined import encode_all, measured, publish, unclosed
from services.worker.tests.clips import AAC, X264, Clips, make
from services.worker.tests.hls_player import broken_rules, play

_RATE = 8000


def flashes_and_beeps(folder: Path) -> Path:
    """36.5 seconds with a white box and a beep every second: three chunks of picture."""
    box = "drawbox=w=64:h=64:t=fill:color"
    drawn = f"testsrc2=size=320x240:rate=25:duration=36.5,{box}=black,{box}=white:enable='lt(mod(t,1),0.03)'"
    # Noise, because players expect more than 20 kb/s.
    beep = "aevalsrc='0.02*random(0)+if(lt(mod(t,1),0.1),sin(2000*PI*t),0)|0.02*random(1)':s=48000:d=36.5"
    tracks = ["-f", "lavfi", "-i", drawn], ["-f", "lavfi", "-i", beep]
    return make(folder / "flashes.mp4", *tracks, codecs=[*X264, "-g", "100", *AAC])


@dataclass
class Film:
    source: Path
    plan: Plan
    folder: Path  # of the encoded chunks


@pytest.fixture(scope="module")
def film(clip: Clips, tmp_path_factory: pytest.TempPathFactory) -> Film:
    source = clip(flashes_and_beeps)
    made = Film(source, divided(source), tmp_path_factory.mktemp("chunks"))
    encode_all(made.plan, made.source, made.folder)
    return made


async def test_joined_stream_passes_every_rule(film: Film, tmp_path: Path) -> None:
    assert len(film.plan.chunks) == 4
    master = publish(film.plan, film.folder, tmp_path)

    assert await broken_rules(master) == []
    played = play(master, 0)
    assert (played.frames, played.complaints) == (913, "")


async def test_unclosed_chunks_are_refused(film: Film, tmp_path: Path) -> None:
    master = publish(film.plan, film.folder, tmp_path, unclosed)

    [broken] = await broken_rules(master)
    assert broken.startswith("segments.continuity: ")


def test_sound_stays_in_step_at_borders(film: Film, tmp_path: Path) -> None:
    master = publish(film.plan, film.folder, tmp_path)
    parts = measured(film.plan, film.folder)
    begins = {name: next(iter(found.values()))[1].first_pts / 90_000 for name, found in parts.items()}

    flashes = _onsets(_pictures(master), begins["240p"] - 10, 25)
    beeps = _onsets(_samples(master), begins["audio"] - 10, _RATE)

    assert [round(time) for time in flashes] == list(range(37))
    assert flashes == pytest.approx(beeps, abs=0.04)


def test_poster_and_tiles_are_those_of_one_process(film: Film, tmp_path: Path) -> None:
    encode(film.plan, WHOLE, film.source, tmp_path)
    publish(film.plan, film.folder, tmp_path / "published")

    assert contents(tmp_path / "published/v1")["poster.jpg"] == contents(tmp_path)["poster.jpg"]
    numbers = [int(path.stem[-4:]) for path in film.folder.glob("[0-9]/tile-*.png")]
    assert sorted(numbers) == list(range(37))


def _pictures(master: Path) -> list[bool]:
    """Returns for each frame whether it shows the box."""
    shown = _decoded(master, "-map", "0:v:0", "-vf", "crop=32:32:16:16,scale=1:1:flags=area,format=gray")
    return [level > 128 for level in shown]


def _samples(master: Path) -> list[bool]:
    """Returns for each sample whether a beep was heard in the last quarter of a period or so."""
    heard = array("h", _decoded(master, "-map", "0:a:0", "-ac", "1", "-ar", str(_RATE), "-f", "s16le"))
    return [abs(level) > 1500 for level in heard]


def _decoded(master: Path, *options: str) -> bytes:
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(master), "-fps_mode", "passthrough"]
    kind = [] if "-f" in options else ["-f", "rawvideo"]
    return subprocess.run([*command, *options, *kind, "-"], capture_output=True, check=True).stdout


def _onsets(shown: list[bool], begins: float, rate: int) -> list[float]:
    """Returns the seconds at which something begins that was off for half a second."""
    found, last = [], -rate
    for number, is_on in enumerate(shown):
        if is_on and number - last > rate / 2:
            found.append(begins + number / rate)
        last = number if is_on else last
    return found


def _larger(parts: dict[str, Measured], number: int, bits: float) -> dict[str, Measured]:
    """Adds bits to the last group of pictures of a segment."""
    name = f"{number:05d}.ts"
    whole = parts[name].whole
    return {**parts, name: replace(parts[name], whole=replace(whole, size=whole.size + int(bits / 8)))}


def _excess(film: Film, number: int, seconds: float) -> dict[str, dict[str, Measured]]:
    """Returns the segments with so many seconds of the highest rate added to one of them."""
    rung = film.plan.rungs[0]
    all_parts = measured(film.plan, film.folder).items()
    found = {name: {file: part for file, (_, part) in parts.items()} for name, parts in all_parts}
    found[rung.name] = _larger(found[rung.name], number, seconds * rung.max_bitrate)
    return found


@pytest.mark.parametrize("number", [1, 3])
def test_peak_across_a_border_is_refused(film: Film, number: int) -> None:
    with pytest.raises(ProcessingFailedError, match=r"gate\.peaks: 240p: ") as error:
        require_bounded_peaks(film.plan, _excess(film, number, 9))

    assert error.value.code is Code.INTERNAL


@pytest.mark.parametrize(("number", "seconds"), [(1, 1), (0, 9), (5, 9)])
def test_peak_within_limits_is_accepted(film: Film, number: int, seconds: float) -> None:
    require_bounded_peaks(film.plan, _excess(film, number, seconds))
