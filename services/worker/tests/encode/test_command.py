"""ffmpeg's arguments."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from gostream_shared.domain import profiles
from gostream_worker.encode.command import encode_arguments, source_graphs
from gostream_worker.encode.picture_graphs import filter_graph
from gostream_worker.encode.sound_filters import _IN_STEP
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE, PROFILES, QUALITY_PROFILE
from gostream_worker.probe.model import AudioTrack, Probe, SourceTrack
from services.worker.tests.plan.test_ladder import VIDEO, plan

AUDIO = AudioTrack(index=1, codec="aac", channels=6, sample_rate=44100)


def values(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(arguments) if name == option]


def arguments(**video: Any) -> list[str]:
    return encode_arguments(plan(audio=AUDIO, **video), source="file:input.bin", folder=".")


def test_ffmpeg_reads_one_file_with_listed_code() -> None:
    made = arguments()

    before_input = made[: made.index("-i")]
    assert values(before_input, "-protocol_whitelist") == ["file"]
    assert "hls" not in values(before_input, "-format_whitelist")[0].split(",")
    assert "concat" not in values(before_input, "-format_whitelist")[0].split(",")
    assert "magicyuv" not in values(before_input, "-codec_whitelist")[0].split(",")
    assert values(before_input, "-max_pixels") == ["35389440"]
    assert {"-nostdin", "-dn", "-sn"} <= set(before_input)
    assert values(made, "-i") == ["file:input.bin"]


def test_outputs_start_together_and_drop_metadata() -> None:
    made = arguments()

    segmented = values(made, "-hls_segment_filename")
    assert segmented == [f"file:./{name}/%05d.ts" for name in ("1080p", "720p", "360p", "audio")]
    assert values(made, "-output_ts_offset") == ["10"] * 4
    assert values(made, "-muxdelay") == values(made, "-muxpreload") == ["0"] * 4
    assert values(made, "-map_metadata") == ["-1"] * 6


def test_rungs_are_cut_at_whole_gops() -> None:
    made = arguments(average_fps=Fraction(30000, 1001), base_fps=Fraction(30000, 1001))

    assert values(made, "-g") == values(made, "-keyint_min") == ["60"] * 3
    assert values(made, "-sc_threshold") == ["0"] * 3
    assert values(made, "-hls_time") == ["6.006000"] * 4


def test_segment_length_is_no_longer_than_its_gops() -> None:
    made = plan(average_fps=Fraction(24000, 1001), base_fps=Fraction(24000, 1001))

    told = Fraction(values(encode_arguments(made, source="file:s", folder="f"), "-hls_time")[0])
    assert made.segment_duration - Fraction(1, 1_000_000) < told <= made.segment_duration


def test_each_rung_is_scaled_from_the_next_larger() -> None:
    [source] = source_graphs(plan())
    chains = filter_graph(plan()).split(";")

    assert source.startswith("[0:0]fps=fps=25,tpad=stop=1:stop_mode=clone,scale=1920:1080:")
    assert source.endswith("[picture]")
    assert chains[0] == "[picture]fps=fps=25:start_time=0,split=2[v0][s1]"
    assert chains[1].startswith("[s1]scale=1280:720:")
    assert chains[1].endswith("split=3[v1][s2][p]")
    assert chains[2].startswith("[s2]scale=640:360:")
    assert chains[2].endswith("split=2[v2][b]")


@pytest.mark.parametrize(
    ("begins", "graphs"), [(0.0, 2), (0.03, 2), (0.1, 1), (0.5, 1), (20.0, 1), (None, 1)]
)
def test_late_sound_has_one_graph(begins: float | None, graphs: int) -> None:
    audio = replace(AUDIO, begins=begins)

    _, *sound = source_graphs(plan(audio=audio))

    assert len(sound) == graphs
    assert "first_pts=0," in sound[-1]


def test_long_leading_silence_is_generated_in_pieces() -> None:
    _, sound = source_graphs(plan(audio=replace(AUDIO, begins=3600.5)))

    assert ":first_pts=172824000,adelay=delays=172824000S:all=1,asetpts=N/SR/TB," in sound


def test_filter_graph_holds_only_needed_filters() -> None:
    assert "bwdif" in source_graphs(plan(interlaced=True))[0]
    assert "tonemap" in source_graphs(plan(transfer=16))[0]
    [ordinary] = source_graphs(plan())
    assert "bwdif" not in ordinary
    assert "tonemap" not in ordinary
    assert "format=yuv420p" in ordinary


def test_picture_is_held_as_long_as_planned() -> None:
    assert "tpad=stop=1:stop_mode=clone" in source_graphs(plan())[0]
    assert "tpad=stop=51:stop_mode=clone" in source_graphs(plan(picture_ends=58))[0]


@pytest.mark.parametrize(
    ("matrix", "height", "kept"),
    [
        (2, 1080, "unknown"),
        (1, 360, "bt709"),
        (6, 1080, "smpte170m"),
        (0, 1080, "bt709"),
        (0, 360, "smpte170m"),
    ],
)
def test_colour_matrix_is_kept_or_set_by_height(matrix: int, height: int, kept: str) -> None:
    [graph] = source_graphs(plan(matrix=matrix, height=height, width=height * 16 // 9))

    assert graph.endswith(f"format=yuv420p:color_spaces={kept}[picture]")


def test_every_rung_uses_the_settings_of_its_profile() -> None:
    for profile in PROFILES.values():
        made = encode_arguments(plan(profile=profile), source="s", folder="f")

        sizes = [profile.large, profile.middle, profile.small]
        assert values(made, "-preset") == [coding.preset for coding in sizes]
        assert values(made, "-crf") == [f"{coding.crf:g}" for coding in sizes]
        assert values(made, "-x264-params") == [f"open-gop=0:{coding.tuning}" for coding in sizes]


def test_threads_are_independent_of_the_machine() -> None:
    made = encode_arguments(plan(), source="s", folder="f")

    assert values(made, "-threads") == ["4", "2", "2"]


def test_quality_profile_keeps_more_detail_in_every_rung() -> None:
    assert QUALITY_PROFILE.large.crf < DEFAULT_PROFILE.large.crf
    assert QUALITY_PROFILE.middle.crf < DEFAULT_PROFILE.middle.crf
    assert QUALITY_PROFILE.small.crf < DEFAULT_PROFILE.small.crf


def test_every_callable_profile_is_known_to_the_worker() -> None:
    assert set(PROFILES) == profiles.NAMES


def test_second_sound_graph_receives_no_gaps() -> None:
    """ffmpeg 9.0.2 hangs between two graphs if the second fills gaps."""
    made = plan(audio=replace(AUDIO, begins=0.0, ends=60.0))
    first, second = (graph for graph in source_graphs(made) if "[sound]" in graph)

    assert first.endswith(f"aresample={_IN_STEP}[sound]")
    assert ":first_pts=0" not in first
    assert second.startswith("[sound]aresample=")
    assert ":first_pts=0" in second


def test_sound_is_shifted_with_the_first_picture() -> None:
    audio = replace(AUDIO, begins=0.0, ends=60.0)

    moved, kept, copied = (
        " ".join(source_graphs(plan(audio=audio, begins=begins))) for begins in (0.019, 0.04, None)
    )

    assert "asetpts=PTS+-0.019000/TB" in moved
    assert "asetpts" not in kept + copied


def test_truncated_source_is_read_to_its_complete_part() -> None:
    made = encode_arguments(replace(plan(), whole_bytes=1234), source="file:input.bin", folder=".")

    assert values(made, "-i") == ["subfile,,start,0,end,1234,,:file:input.bin"]
    assert values(made, "-protocol_whitelist") == ["file,subfile"]


def test_no_sound_is_mapped_for_silent_sources() -> None:
    made = encode_arguments(plan(), source="file:s", folder="f")

    assert values(made, "-map") == ["[v0]", "[v1]", "[v2]", "[poster]", "[storyboard]"]
    assert "-c:a" not in made


def test_sound_is_encoded_once_from_the_chosen_track() -> None:
    made = arguments()

    assert source_graphs(plan(audio=AUDIO))[1].startswith("[0:1]aformat=")
    assert "[a]" in values(made, "-map")
    assert values(made, "-c:a") == ["aac"]


def of_many_tracks(**options: Any) -> list[str]:
    """Arguments for two sounds, of which the second outlasts the film, and two texts."""
    own = AudioTrack(index=2, codec="aac", channels=2, sample_rate=48000, begins=0.0, ends=60.0)
    other = AudioTrack(index=1, codec="ac3", channels=6, sample_rate=48000, language="de", ends=70.0)
    probe = Probe(
        container="matroska",
        duration=60,
        size_bytes=1,
        video=VIDEO,
        audio=own,
        further=(other,),
        tracks=(
            SourceTrack(index=1, kind="audio", codec="ac3", language="de"),
            SourceTrack(index=2, kind="audio", codec="aac"),
            SourceTrack(index=3, kind="subtitles", codec="srt", language="en"),
            SourceTrack(index=4, kind="subtitles", codec="mov_text"),
        ),
    )
    made = make_plan(probe, DEFAULT_PROFILE, **options)
    return encode_arguments(made, source="file:input.bin", folder=".")


def test_every_sound_is_an_output_of_one_run() -> None:
    made = of_many_tracks()

    maps = values(made, "-map")
    assert maps[3:7] == ["[a]", "[a1]", "0:3", "0:4"]
    folders = [name.split("/")[1] for name in values(made, "-hls_segment_filename")]
    assert folders == ["1080p", "720p", "360p", "audio", "audio-de"]
    assert values(made, "-t") == ["60.000"]
    labels = " ".join(values(made, "-filter_complex"))
    assert all(labels.count(f"[{name}]") == times for name, times in (("a", 1), ("a1", 1), ("sound", 2)))


def test_texts_are_copied_and_never_decoded() -> None:
    made = of_many_tracks()

    assert "-sn" not in made
    assert values(made, "-c:s") == ["copy", "copy"]
    assert [name for name in made if name.endswith(".copy")] == ["file:./text-en.copy", "file:./text.copy"]
    assert {"matroska", "mp4"} <= set(values(made, "-f"))
    assert "mov_text" not in values(made, "-codec_whitelist")[0].split(",")


def test_last_attempt_has_the_films_own_sound_only() -> None:
    made = of_many_tracks(with_extras=False)

    assert "-sn" in made
    assert "audio-de" not in " ".join(made)
    assert not [name for name in made if name.endswith(".copy")]
