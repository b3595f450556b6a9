"""Every input of the corpus with its expected result."""

from dataclasses import dataclass

from gostream_worker.failures import Code

from . import colours, containers, hostile, pictures, sounds, timing, tracks, unusual
from .media import Recipe


@dataclass(frozen=True)
class Stream:
    """Expected stream of a READY video: largest rung, frame rate, seconds, and whether it has audio."""

    size: str
    fps: float = 25
    seconds: float = 2
    sound: bool = True
    heard: float | None = None  # seconds of its sound, if they matter
    looks_like: Recipe | None = None  # the stream of that recipe shows the same picture
    brightness: range | None = None  # of its first picture, of 255
    is_whole: bool = False  # no picture is interlaced
    is_central: bool = False  # both of its channels are equally loud
    says: str = ""  # a line of its master playlist


@dataclass(frozen=True)
class Sound:
    """Expected stream of a READY video of sound alone: the names of its rungs, and seconds."""

    rungs: str
    seconds: float = 2
    poster: bool = False


@dataclass(frozen=True)
class Case:
    """One input. Every test run includes the `quick` ones."""

    recipe: Recipe
    expected: Code | Stream | Sound
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
    # Media without moving pictures
    Case(hostile.png, Code.UNSUPPORTED_CONTAINER, quick=True),
    Case(hostile.jpeg, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.gif, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.subrip, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.web_vtt, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.ass_script, Code.UNSUPPORTED_CONTAINER),
    Case(hostile.wave, Sound("256k 128k 64k")),
    Case(hostile.audio_only, Sound("128k 64k"), quick=True),
    Case(hostile.audio_with_cover, Sound("128k 64k", poster=True)),
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
    Case(hostile.too_fast_for_its_size, Code.FRAME_RATE),
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
    Case(unusual.gopro_4_by_3, Stream("1234x1080", fps=30, seconds=0.1, sound=False)),
    Case(unusual.gopro_5k, Stream("1920x1080", fps=30, seconds=0.1, sound=False), quick=True),
    Case(unusual.fast_960, Stream("320x180", fps=60, seconds=0.2, sound=False)),
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
    Case(unusual.latin_1_title, Stream("320x180"), quick=True),
    Case(unusual.latin_1_title_of_a_track, Stream("320x180")),
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
    Case(timing.sound_begins_50_minutes_late, Stream("64x48", fps=5, seconds=3000, heard=3000)),
    Case(timing.picture_begins_6s_late, _tiny(8)),
    Case(timing.fragments_from_an_hour, _tiny(2), quick=True),
    Case(timing.matroska_from_an_hour, _tiny(2)),
    Case(timing.flv_from_an_hour, _tiny(2)),
    Case(timing.flv_cut_off, _tiny(2.8), quick=True),
    Case(timing.fragments_cut_in_the_data, _tiny(6), quick=True),
    Case(timing.fragments_cut_in_the_index, _tiny(7)),
    Case(timing.fragments_cut_in_the_index_of_a_mov, _tiny(7)),
    Case(timing.first_fragment_cut, Code.TRUNCATED),
    Case(timing.many_small_gaps, _tiny(12), quick=True),
    Case(timing.many_small_gaps_in_a_stream, _tiny(12)),
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


def _sound(says: str = "") -> Stream:
    return Stream("96x64", seconds=1, is_central=True, says=says)


SOUNDS = (
    Case(sounds.film_order, _sound(), quick=True),
    Case(sounds.centre_first, _sound()),
    Case(sounds.described_order, _sound()),
    Case(sounds.discrete_order, _sound()),
    Case(sounds.ambisonic_opus, _sound(), quick=True),
    Case(sounds.ambisonic_opus_with_stereo, _sound()),
    Case(sounds.opus_of_no_family, _sound()),
    Case(sounds.opus_with_pauses, Stream("96x64", heard=2, is_central=True)),
    Case(sounds.latm, _sound()),
    Case(sounds.twenty_four_channels, _sound()),
    Case(sounds.unknown_sound_first, _sound(), quick=True),
    Case(sounds.unknown_sound_second, _sound()),
    Case(sounds.german_mp4, _sound('LANGUAGE="de"'), quick=True),
    Case(sounds.german_mkv, _sound('LANGUAGE="de"')),
    Case(sounds.german_ts, _sound('LANGUAGE="de"')),
    Case(sounds.undetermined_mkv, _sound("CLOSED-CAPTIONS=NONE")),
)


def _mute(size: str, seconds: float = 2, *, fps: float = 25, says: str = "") -> Stream:
    return Stream(size, fps=fps, seconds=seconds, sound=False, says=says)


def _whole(seconds: float = 2) -> Stream:
    return Stream("352x288", seconds=seconds, sound=False, is_whole=True)


def _like(recipe: Recipe, size: str = "320x180", seconds: float = 1) -> Stream:
    return Stream(size, seconds=seconds, sound=False, looks_like=recipe)


def _grey(brightness: range) -> Stream:
    return Stream("96x64", seconds=0.4, sound=False, brightness=brightness)


PICTURES = (
    Case(pictures.cropped_matroska, _like(unusual.plain), quick=True),
    Case(pictures.odd_crop, _like(pictures.evenly_cropped, "302x180", 2)),
    Case(pictures.odd_crop_in_ts, _like(pictures.evenly_cropped_by_30, "290x180", 2)),
    Case(pictures.interlaced_later, _whole(3), quick=True),
    Case(pictures.unflagged_combs, _whole(), quick=True),
    Case(pictures.unflagged_combs_bottom_first, _whole()),
    Case(pictures.turned_by_sei, _like(unusual.rotated, "180x320", 2)),
    Case(pictures.turned_in_matroska, _like(unusual.rotated, "180x320", 2)),
    Case(pictures.intra_refresh, _like(unusual.plain, seconds=2)),
    Case(pictures.odd_mjpeg, _like(unusual.plain)),
    Case(pictures.odd_mjpeg_444, _mute("174x144", 1)),
    Case(pictures.dv_pal, _mute("720x576", 1)),
    Case(pictures.dv_ntsc, _mute("720x480", 1, fps=29.97)),
    Case(pictures.tall, _mute("1080x2340", 0.4, fps=5)),
    Case(pictures.very_wide, _mute("8000x1000", 0.4, fps=5)),
    Case(pictures.captioned, _mute("320x180", 1, says='INSTREAM-ID="CC1"'), quick=True),
)

COLOURS = (
    Case(colours.hlg_by_the_container, _like(colours.hlg_in_the_stream), quick=True),
    Case(colours.dolby_vision_alone, Code.UNSUPPORTED_CODEC, quick=True),
    Case(colours.dolby_vision_on_sdr, _mute("96x64", 1)),
    Case(colours.ycgco, _like(unusual.plain), quick=True),
    Case(colours.constant_luminance, _like(unusual.plain)),
    Case(colours.hdr_prores, _like(unusual.hdr10, seconds=0.4)),
    Case(colours.hdr_vp9, _like(unusual.hdr10, seconds=0.4)),
    Case(colours.hdr_444, _like(unusual.hlg, seconds=0.4)),
    Case(colours.hdr_rgb, _like(colours.hdr_by_formula, seconds=0.4)),
    Case(colours.dark_pq, _grey(range(10, 50))),
    Case(colours.bright_pq, _grey(range(245, 256))),
    Case(colours.bright_hlg, _grey(range(245, 256))),
)

CONTAINERS = (
    Case(containers.edited_for_b_frames, _tiny(2)),
    Case(containers.edited_empty_start, _tiny(2), quick=True),
    Case(containers.edited_inside_a_group, _tiny(2.4)),
    Case(containers.edited_twice, _tiny(1.5, 2), quick=True),
    Case(containers.compressed_index, _tiny(2), quick=True),
    Case(containers.data_to_the_end, _tiny(2)),
    Case(containers.without_sync_table, _tiny(2), quick=True),
    Case(containers.timed_metadata, _tiny(2)),
    Case(containers.attached_fonts, _tiny(2)),
    Case(containers.large_cover, _tiny(2)),
    Case(containers.webm_from_an_hour, Stream("320x180")),
    Case(containers.hello_world, Code.SOURCE_NOT_MEDIA),
    Case(containers.many_lines, Code.SOURCE_NOT_MEDIA, quick=True),
    Case(containers.noise_2, Code.SOURCE_NOT_MEDIA),
    Case(containers.noise_3, Code.SOURCE_NOT_MEDIA),
    Case(containers.front_of_text, Code.SOURCE_NOT_MEDIA),
)

CASES = HOSTILE + UNUSUAL + TIMING + TRACKS + SOUNDS + PICTURES + COLOURS + CONTAINERS
