"""Every input of the corpus with its expected result."""

from dataclasses import dataclass

from gostream_worker.failures import Code

from . import hostile, timing, tracks, unusual
from .media import Recipe


@dataclass(frozen=True)
class Stream:
    """Expected stream of a READY video: largest rung, frame rate, seconds, and whether it has audio."""

    size: str
    fps: float = 25
    seconds: float = 2
    sound: bool = True
    heard: float | None = None  # seconds of its sound, if they matter


@dataclass(frozen=True)
class Case:
    """One input. Every test run includes the `quick` ones."""

    recipe: Recipe
    expected: Code | Stream
    quick: bool = False

    @property
    def name(self) -> str:
        return self.recipe.__name__


HOSTILE = (
    Case(hostile.empty, Code.SOURCE_EMPTY, quick=True),
    Case(hostile.one_byte, Code.SOURCE_NOT_MEDIA),
    Case(hostile.random_bytes, Code.SOURCE_NOT_MEDIA, quick=True),
    Case(hostile.zeros, Code.SOURCE_NOT_MEDIA),
    Case(hostile.text, Code.SOURCE_NOT_MEDIA, quick=True),
    Case(hostile.xml, Code.SOURCE_NOT_MEDIA),
    # References to other files and to the network
    Case(hostile.playlist_of_a_file, Code.UNSUPPORTED_CONTAINER, quick=True),
    Case(hostile.playlist_of_a_neighbour, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.playlist_of_metadata, Code.UNSUPPORTED_CONTAINER, quick=True),
    Case(hostile.playlist_of_concat, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.playlist_behind_blank_lines, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.playlist_behind_a_title, Code.SOURCE_NOT_MEDIA),
    Case(hostile.concat_list, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.session_description, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.dash_manifest, Code.SOURCE_NOT_MEDIA),
    Case(hostile.gab2_avi, Stream("320x180", sound=False), quick=True),
    Case(hostile.external_reference_mov, Code.CORRUPT_STREAM, quick=True),
    # Media without video
    Case(hostile.png, Code.UNSUPPORTED_CONTAINER, quick=True),
    Case(hostile.jpeg, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.gif, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.subrip, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.web_vtt, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.ass_script, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.wave, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.audio_only, Code.NO_VIDEO_STREAM, quick=True),
    Case(hostile.audio_with_cover, Code.NO_VIDEO_STREAM),
    Case(hostile.unlisted_magicyuv, Code.UNSUPPORTED_CODEC, quick=True),
    Case(hostile.unlisted_cinepak, Code.UNSUPPORTED_CODEC),
    Case(hostile.unlisted_sound, Code.UNSUPPORTED_CODEC),
    # Broken
    Case(hostile.cut_before_index, Code.TRUNCATED, quick=True),
    Case(hostile.cut_in_the_data, Code.TRUNCATED, quick=True),
    Case(hostile.cut_in_the_index, Code.TRUNCATED),
    Case(hostile.cut_matroska, Code.TRUNCATED),
    Case(hostile.damaged, Code.CORRUPT_STREAM, quick=True),
    Case(hostile.noise_for_sound, Code.CORRUPT_STREAM, quick=True),
    Case(hostile.encrypted, Code.ENCRYPTED_SOURCE, quick=True),
    # Excessive sizes and durations
    Case(hostile.huge_8192, Code.DIMENSIONS),
    Case(hostile.one_pixel, Code.DIMENSIONS, quick=True),
    Case(hostile.nine_pixels, Code.DIMENSIONS),
    Case(hostile.endless_aspect, Code.DIMENSIONS),
    Case(hostile.declared_100_hours, Code.DURATION, quick=True),
    Case(hostile.declared_nan, Stream("320x180", seconds=3)),
    Case(hostile.declared_infinite, Stream("320x180", seconds=3)),
    Case(hostile.thousand_fps, Code.FRAME_RATE),
    Case(hostile.sparse_index, Code.CORRUPT_STREAM),
    Case(hostile.index_of_half_bytes, Code.RESOURCE_LIMIT, quick=True),
)

UNUSUAL = (
    Case(unusual.plain, Stream("320x180", seconds=3), quick=True),
    Case(unusual.two_segments, Stream("640x360", fps=29.97, seconds=7.5), quick=True),
    Case(unusual.silent, Stream("320x180", sound=False)),
    Case(unusual.mono_8khz, Stream("320x180")),
    Case(unusual.surround, Stream("320x180")),
    Case(unusual.odd_853x481, Stream("852x480", seconds=1, sound=False)),
    Case(unusual.rotated, Stream("180x320", sound=False), quick=True),
    Case(unusual.portrait, Stream("270x480")),
    Case(unusual.anamorphic, Stream("320x180", sound=False)),
    Case(unusual.variable_rate, Stream("320x180")),
    Case(unusual.fast_120, Stream("320x180", fps=60, seconds=1, sound=False)),
    Case(unusual.hdr10, Stream("320x180")),
    Case(unusual.hlg, Stream("320x180")),
    Case(unusual.full_chroma, Stream("320x180", sound=False)),
    Case(unusual.interlaced, Stream("352x288")),
    Case(unusual.vp9_webm, Stream("320x180"), quick=True),
    Case(unusual.live_webm, Stream("320x180")),
    Case(unusual.prores_mov, Stream("320x180", seconds=1)),
    Case(unusual.av1_mp4, Stream("320x180", seconds=1)),
    Case(unusual.mpeg4_avi, Stream("320x180")),
    Case(unusual.flv, Stream("320x180")),
    Case(unusual.wmv, Stream("320x180")),
    Case(unusual.theora_ogg, Stream("320x180")),
    Case(unusual.mpeg_program, Stream("320x180")),
    Case(unusual.fragmented, Stream("320x180", seconds=3)),
    Case(unusual.one_frame, Stream("320x180", seconds=0.04, sound=False)),
    Case(unusual.cover, Stream("320x180", seconds=15)),
    Case(unusual.starts_late, Stream("320x180", seconds=3)),
    Case(unusual.starts_before_zero, Stream("320x180")),
    Case(unusual.sixty_four_tracks, Stream("320x180", seconds=1)),
    Case(unusual.size_change, Stream("320x180", sound=False)),
    Case(unusual.hour_gap, Stream("64x48", fps=25, seconds=3600, sound=False)),
    Case(unusual.scratched, Stream("640x360", seconds=4, sound=False)),
    Case(unusual.trailing_bytes, Stream("320x180", seconds=3)),
    Case(unusual.zero_duration_header, Stream("320x180", seconds=3)),
)


def _tiny(seconds: float, heard: float | None = None) -> Stream:
    return Stream("96x64", seconds=seconds, heard=seconds if heard is None else heard)


TIMING = (
    Case(timing.sound_pauses_20s, _tiny(22), quick=True),
    Case(timing.sound_pauses_9s, _tiny(11)),
    Case(timing.sound_pauses_11s, _tiny(13)),
    Case(timing.sound_pauses_120s, _tiny(122)),
    Case(timing.sound_pauses_in_a_program_stream, _tiny(22)),
    Case(timing.sound_pauses_in_matroska, _tiny(22)),
    Case(timing.sound_pauses_in_mp4, _tiny(22)),
    Case(timing.sound_pauses_in_flv, _tiny(22)),
    Case(timing.picture_pauses_20s, _tiny(22)),
    Case(timing.one_of_two_sounds_pauses, _tiny(22)),
    Case(timing.clock_jumps_20s, _tiny(4)),
    Case(timing.clock_wraps, _tiny(2)),
    Case(timing.sound_begins_6s_late, _tiny(10, 8), quick=True),
    Case(timing.sound_begins_6s_late_in_matroska, _tiny(10, 8)),
    Case(timing.picture_begins_6s_late, _tiny(8)),
    Case(timing.fragments_from_an_hour, _tiny(2), quick=True),
    Case(timing.matroska_from_an_hour, _tiny(2)),
    Case(timing.flv_from_an_hour, _tiny(2)),
    Case(timing.flv_cut_off, _tiny(2.8), quick=True),
    Case(timing.avi_without_index, _tiny(2)),
    Case(timing.programme_with_new_pids, Code.TRUNCATED, quick=True),
    Case(timing.programme_with_another_codec, Code.TRUNCATED),
    Case(timing.sound_on_a_new_pid, Code.TRUNCATED),
    Case(timing.language_added_later, _tiny(4)),
    Case(timing.matroska_set_back, Code.TRUNCATED, quick=True),
    Case(timing.sound_of_one_frame, _tiny(1, 0.28), quick=True),
    Case(timing.sound_of_three_frames, _tiny(1, 0.28)),
    Case(timing.last_picture_damaged, Stream("320x180"), quick=True),
)

TRACKS = (
    Case(tracks.muted_mkv, Stream("320x180", sound=False), quick=True),
    Case(tracks.muted_webm, Stream("320x180", sound=False)),
    Case(tracks.muted_mp4, Stream("320x180", sound=False)),
    Case(tracks.muted_ts, Stream("320x180", sound=False)),
    Case(tracks.muted_flv, Stream("320x180", sound=False)),
    Case(tracks.no_picture_in_its_track, Code.NO_VIDEO_STREAM),
    Case(tracks.thumbnail_first_mp4, Stream("320x180", seconds=3), quick=True),
    Case(tracks.thumbnail_first_mkv, Stream("320x180", seconds=3)),
    Case(tracks.description_first_ts, Stream("320x180")),
    Case(tracks.description_first_mkv, Stream("320x180")),
    Case(tracks.commentary_first_mkv, Stream("320x180")),
    Case(tracks.commentary_by_title_mkv, Stream("320x180")),
    Case(tracks.default_second_mkv, Stream("320x180")),
    Case(tracks.mid_group_ts, Stream("64x48", fps=30, seconds=24, sound=False), quick=True),
    Case(tracks.mid_group_mpeg2_ts, Stream("64x48", fps=30, seconds=24, sound=False)),
    Case(tracks.mid_group_hevc_ts, Stream("64x48", fps=30, seconds=24, sound=False)),
)

CASES = HOSTILE + UNUSUAL + TIMING + TRACKS
