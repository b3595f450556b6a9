"""At least one planted defect for every rule that applies to a directory."""

from dataclasses import dataclass

from gostream_conformance.formats.mpegts import CLOCK, H264, PACKET

from .breaking import (
    CUES,
    LOW,
    MASTER,
    SHEET,
    SOUND,
    STILLS,
    SUBTITLES,
    TOP,
    Spoil,
    adts_profile,
    before_sound,
    both_reencoded,
    bytes_of,
    damaged_later,
    dependent,
    drifting_sound,
    drop_line,
    edit,
    everywhere,
    fewer_stills,
    late_after_the_first,
    late_sound,
    level_61,
    listed,
    moved_range,
    muxed,
    new_audio,
    on_another_pid,
    one_still_for_all,
    one_variant,
    one_variant_twice,
    other_later,
    padded,
    reencoded,
    removed,
    repeated,
    silent_at_first,
    silent_in_the_middle,
    sound_for_pictures,
    stills_backwards,
    stray_segment,
    swapped_names,
    swapped_variants,
    tables_last,
    tail_first,
    without_boundary,
    without_packet,
    without_pictures,
    without_still,
    write,
)
from .packets import VIDEO_PID


@dataclass(frozen=True)
class Defect:
    """`spoil` breaks `rule` and the rules in `also`, and no other."""

    name: str
    rule: str
    spoil: Spoil
    also: frozenset[str] = frozenset()


LEGAL = {
    "a packet that comes twice": bytes_of(f"{TOP}/seg0.ts", lambda data: repeated(data, times=2)),
    "tables in EXT-X-MAP and in the segments": edit(
        f"{TOP}/playlist.m3u8", "#EXTINF", '#EXT-X-MAP:URI="seg0.ts",BYTERANGE="564@0"\n#EXTINF'
    ),
    "timed metadata beside the pictures": listed({VIDEO_PID: H264, 0x102: 0x15}),
}
DEFECTS = [
    Defect(
        "media tag in the master",
        "master.parses",
        edit(MASTER, "#EXT-X-MEDIA", "#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA"),
    ),
    Defect("another profile in CODECS", "master.codecs", edit(MASTER, "avc1.64001e", "avc1.4d001e")),
    Defect("sound not in CODECS", "master.codecs", edit(MASTER, ",mp4a.40.2", "")),
    Defect("RESOLUTION before cropping", "master.resolution", edit(MASTER, "640x360", "640x368")),
    Defect("no RESOLUTION", "master.resolution", edit(MASTER, "RESOLUTION=640x360,", "")),
    Defect(
        "FRAME-RATE of another film",
        "master.frame-rate",
        edit(MASTER, "FRAME-RATE=25.000", "FRAME-RATE=29.970"),
    ),
    Defect("FRAME-RATE a thousandth off", "master.frame-rate", edit(MASTER, "25.000", "25.025")),
    Defect("no FRAME-RATE", "master.frame-rate", edit(MASTER, ",FRAME-RATE=25.000", "")),
    Defect(
        "no AVERAGE-BANDWIDTH", "master.average-bandwidth", edit(MASTER, "AVERAGE-BANDWIDTH=", "X-AVERAGE=")
    ),
    Defect(
        "AVERAGE-BANDWIDTH too high",
        "master.average-bandwidth",
        edit(MASTER, "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=1"),
    ),
    Defect(
        "BANDWIDTH is a wish",
        "master.bandwidth",
        edit(MASTER, "STREAM-INF:BANDWIDTH=", "STREAM-INF:BANDWIDTH=1"),
    ),
    Defect(
        "BANDWIDTH of an I-frame list is a wish",
        "master.bandwidth",
        edit(MASTER, "I-FRAME-STREAM-INF:BANDWIDTH=", "I-FRAME-STREAM-INF:BANDWIDTH=1"),
    ),
    Defect(
        "one segment twenty times its size",
        "master.peak-to-average",
        padded,
        frozenset({"master.first-variant"}),
    ),
    Defect("only one variant", "master.several-variants", one_variant, frozenset({"master.resolution"})),
    Defect(
        "one variant twice",
        "master.several-variants",
        one_variant_twice,
        frozenset({"master.resolution"}),
    ),
    Defect("one rung is 4:3", "master.one-aspect", reencoded("180p", options=("-vf", "setsar=4/3"))),
    Defect("smallest variant first", "master.first-variant", swapped_variants),
    Defect("independence not promised", "master.independent-segments", dependent),
    Defect(
        "a group that is not there",
        "master.audio-groups",
        edit(MASTER, 'AUDIO="aac"', 'AUDIO="ac3"', count=2),
        frozenset({"master.codecs", "master.bandwidth", "master.average-bandwidth"}),
    ),
    Defect("no default sound", "master.audio-groups", edit(MASTER, "DEFAULT=YES", "DEFAULT=NO")),
    Defect(
        "subtitles that are not there",
        "master.groups",
        edit(MASTER, 'AUDIO="aac"', 'AUDIO="aac",SUBTITLES="none"', count=2),
    ),
    Defect(
        "two renditions of one name",
        "master.groups",
        edit(
            MASTER,
            "#EXT-X-STREAM-INF",
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Main",URI="{SOUND}/playlist.m3u8"\n#EXT-X-STREAM-INF',
        ),
    ),
    Defect(
        "no I-frame playlist",
        "master.iframes",
        drop_line(MASTER, "#EXT-X-I-FRAME"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect(
        "a segment outside",
        "master.uris-stay",
        edit(f"{TOP}/playlist.m3u8", "seg1.ts", "../../../seg1.ts"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect(
        "a segment on another host",
        "master.uris-stay",
        edit(f"{TOP}/playlist.m3u8", "seg1.ts", "http://169.254.169.254/seg1.ts"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect("a missing segment", "master.uris-answer", removed(f"{TOP}/seg1.ts")),
    Defect("a missing playlist", "master.uris-answer", removed(TOP)),
    Defect("missing subtitles", "master.uris-answer", before_sound(SUBTITLES.format("v1/subs.m3u8"))),
    Defect(
        "missing session data",
        "master.uris-answer",
        before_sound('#EXT-X-SESSION-DATA:DATA-ID="a",URI="data.json"'),
    ),
    Defect("subtitles outside", "master.uris-stay", before_sound(SUBTITLES.format("../subs.m3u8"))),
    Defect(
        "session data outside",
        "master.uris-stay",
        before_sound('#EXT-X-SESSION-DATA:DATA-ID="a",URI="file:///etc/passwd"'),
    ),
    Defect(
        "master tag in a media playlist",
        "media.parses",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF", "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF"),
        frozenset({"whole.no-stray-files"}),
    ),
    Defect("no ENDLIST", "media.vod", drop_line(f"{TOP}/playlist.m3u8", "#EXT-X-ENDLIST")),
    Defect("no VOD", "media.vod", drop_line(f"{SOUND}/playlist.m3u8", "#EXT-X-PLAYLIST-TYPE")),
    Defect(
        "segments longer than promised",
        "media.target-duration",
        everywhere(
            *(f"{d}/playlist.m3u8" for d in (TOP, LOW, SOUND)), old="TARGETDURATION:6", new="TARGETDURATION:5"
        ),
    ),
    Defect(
        "another target duration",
        "media.one-target-duration",
        edit(f"{SOUND}/playlist.m3u8", "TARGETDURATION:6", "TARGETDURATION:7"),
    ),
    Defect(
        "one boundary fewer",
        "media.same-boundaries",
        without_boundary,
        frozenset({"media.one-target-duration", "segments.keys-aligned"}),
    ),
    Defect(
        "EXTINF half a second off",
        "media.extinf",
        everywhere(*(f"{d}/playlist.m3u8" for d in (TOP, LOW)), old="EXTINF:2.000000", new="EXTINF:2.500000"),
        frozenset({"storyboard.covers"}),
    ),
    Defect("version too low", "media.version", edit(f"{LOW}/iframes.m3u8", "VERSION:5", "VERSION:4")),
    Defect(
        "floating durations in version 2",
        "media.version",
        edit(f"{TOP}/playlist.m3u8", "VERSION:6", "VERSION:2"),
    ),
    Defect(
        "a discontinuity",
        "media.no-discontinuity",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF:2", "#EXT-X-DISCONTINUITY\n#EXTINF:2"),
    ),
    Defect(
        "encrypted",
        "media.supported",
        edit(f"{TOP}/playlist.m3u8", "#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="seg0.ts"\n#EXTINF'),
    ),
    Defect(
        "encrypted, says the master",
        "media.supported",
        edit(MASTER, "#EXT-X-MEDIA", '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="master.m3u8"\n#EXT-X-MEDIA'),
    ),
    Defect("HEVC", "media.supported", edit(MASTER, "avc1.64001e", "hvc1.1.6.L60.90")),
    Defect("AC-3", "media.supported", edit(MASTER, "mp4a.40.2", "ac-3", count=2)),
    Defect("a range that ends within a packet", "media.iframe-ranges", moved_range(end=-PACKET - 1)),
    Defect("a range without the last packet", "media.iframe-ranges", moved_range(end=-PACKET)),
    Defect("a range of half a picture", "media.iframe-ranges", moved_range(end=-12 * PACKET)),
    Defect(
        "a range that begins in the picture before", "media.iframe-ranges", moved_range(begin=-5 * PACKET)
    ),
    Defect(
        "a range of two pictures",
        "media.iframe-ranges",
        moved_range(end=60 * PACKET),
        frozenset({"master.bandwidth"}),
    ),
    Defect(
        "an ordinary playlist for I-frames",
        "media.iframe-ranges",
        edit(MASTER, "180p/iframes.m3u8", "180p/playlist.m3u8"),
        frozenset({"master.bandwidth", "whole.no-stray-files"}),
    ),
    Defect(
        "I-frames shown too shortly",
        "media.iframe-timeline",
        edit(STILLS, "EXTINF:2.0", "EXTINF:0.1", count=-1),
        frozenset({"master.bandwidth"}),
    ),
    Defect("one key frame again and again", "media.iframe-timeline", one_still_for_all),
    Defect("fewer key frames", "media.iframe-timeline", fewer_stills),
    Defect("key frames backwards", "media.iframe-timeline", stills_backwards),
    Defect("the first I-frame missing", "media.iframe-timeline", without_still("seg0.ts")),
    Defect("the last I-frame missing", "media.iframe-timeline", without_still("seg2.ts")),
    Defect(
        "an I-frame list not called so",
        "media.iframe-ranges",
        drop_line(f"{LOW}/iframes.m3u8", "#EXT-X-I-FRAMES-ONLY"),
        frozenset({"media.version"}),
    ),
    Defect(
        "a byte too many", "segments.whole-packets", bytes_of(f"{TOP}/seg0.ts", lambda data: data + b"\x00")
    ),
    Defect(
        "a damaged packet",
        "segments.readable",
        bytes_of(f"{TOP}/seg0.ts", lambda data: data[: 9 * PACKET] + b"\x00" + data[9 * PACKET + 1 :]),
    ),
    Defect(
        "sound where pictures belong",
        "segments.readable",
        sound_for_pictures,
        frozenset({"segments.continuity", "segments.same-streams"}),
    ),
    Defect("MP3 beside the pictures", "segments.readable", listed({VIDEO_PID: H264, 0x101: 0x03})),
    Defect(
        "HEVC, say the tables", "segments.readable", listed({VIDEO_PID: 0x24}), frozenset({"master.codecs"})
    ),
    Defect(
        "fragmented MP4",
        "fragments.map",
        bytes_of(f"{TOP}/seg0.ts", lambda data: data[:4] + b"styp" + data[8:]),
    ),
    Defect("a damaged table later on", "segments.readable", bytes_of(f"{TOP}/seg0.ts", damaged_later)),
    Defect("another table later on", "segments.readable", bytes_of(f"{TOP}/seg0.ts", other_later)),
    Defect("another PID in a segment", "segments.same-streams", bytes_of(f"{TOP}/seg2.ts", on_another_pid)),
    Defect(
        "tables after the picture",
        "segments.start",
        bytes_of(f"{TOP}/seg0.ts", tables_last),
        frozenset({"segments.continuity"}),
    ),
    Defect("a picture's end before the tables", "segments.start", tail_first(behind=0)),
    Defect("a picture's end after the tables", "segments.start", tail_first(behind=3)),
    Defect("keys elsewhere in one rung", "segments.keys-aligned", reencoded("360p", gop=25)),
    Defect(
        "a packet that comes three times",
        "segments.continuity",
        bytes_of(f"{TOP}/seg0.ts", lambda data: repeated(data, times=3)),
        frozenset({"segments.timeline", "master.frame-rate"}),
    ),
    Defect("a lost packet", "segments.continuity", bytes_of(f"{TOP}/seg0.ts", without_packet(40))),
    Defect(
        "segments in the wrong order",
        "segments.timeline",
        swapped_names,
        frozenset(
            {
                "segments.continuity",
                "segments.keys-aligned",
                "segments.key-interval",
                "segments.sound-in-step",
                "media.iframe-timeline",
            }
        ),
    ),
    Defect(
        "sound that jumps within a segment",
        "segments.timeline",
        late_sound("seg0.ts", lambda number: 10 * CLOCK if number else 0),
    ),
    Defect(
        "sound that goes back", "segments.timeline", late_sound("seg0.ts", lambda number: -5 * CLOCK * number)
    ),
    Defect("sound that drifts", "segments.timeline", drifting_sound),
    Defect(
        "a muxed segment without sound",
        "segments.timeline",
        muxed(silent_in_the_middle),
        frozenset({"master.iframes"}),
    ),
    Defect(
        "muxed sound 3 s late from the second segment on",
        "segments.timeline",
        muxed(late_after_the_first),
        frozenset({"master.iframes"}),
    ),
    Defect(
        "muxed sound that begins a segment late",
        "segments.sound-in-step",
        muxed(silent_at_first),
        frozenset({"master.iframes"}),
    ),
    Defect("ten pictures fewer", "segments.no-holes", without_pictures, frozenset({"master.frame-rate"})),
    Defect("level 6.1", "segments.h264", level_61, frozenset({"master.codecs"})),
    Defect("interlaced", "segments.h264", reencoded("180p", x264=":tff=1")),
    Defect("a key only every 6 s", "segments.key-interval", both_reencoded(gop=150)),
    Defect(
        "open GOPs",
        "segments.closed-gops",
        both_reencoded(x264=":open-gop=1:bframes=3"),
        frozenset({"segments.start", "media.iframe-ranges"}),
    ),
    Defect("AAC Main", "segments.aac", adts_profile, frozenset({"master.codecs"})),
    Defect(
        "mono after stereo",
        "segments.aac",
        bytes_of(f"{SOUND}/seg2.ts", lambda data: data.replace(b"\xff\xf1\x4c\x80", b"\xff\xf1\x4c\x40")),
    ),
    Defect("256 kb/s of sound", "segments.aac", new_audio(rate="256k")),
    Defect("whispering sound", "segments.aac-rate", new_audio(rate="16k")),
    Defect("sound 67 ms late", "segments.sound-in-step", new_audio(offset="10.067")),
    Defect("cues without WEBVTT", "storyboard.parses", edit(CUES, "WEBVTT", "WEBVTX")),
    Defect("times of SubRip", "storyboard.parses", edit(CUES, "04.000 -->", "04,000 -->")),
    Defect("a part in per cent", "storyboard.parses", edit(CUES, "xywh=", "xywh=percent:")),
    Defect(
        "a cue of two pictures", "storyboard.parses", edit(CUES, "\n\n00:00:04", "\nother.jpg\n\n00:00:04")
    ),
    Defect("a gap between two cues", "storyboard.covers", edit(CUES, "04.000 -->", "04.001 -->")),
    Defect("cues that overlap", "storyboard.covers", edit(CUES, "--> 00:00:04.000", "--> 00:00:04.001")),
    Defect("a cue that does not last", "storyboard.covers", edit(CUES, "04.000", "02.000", count=2)),
    Defect("no cue for the start", "storyboard.covers", edit(CUES, "00.000 -->", "00.500 -->")),
    Defect("no cue for the end", "storyboard.covers", edit(CUES, "--> 00:00:14.000", "--> 00:00:13.800")),
    Defect("cues beyond the end", "storyboard.covers", edit(CUES, "--> 00:00:14.000", "--> 00:00:14.200")),
    Defect("no cues at all", "storyboard.covers", lambda tree: write(tree / CUES, "WEBVTT\n")),
    Defect("a part beyond the right", "storyboard.parts", edit(CUES, "480,0,160,90", "481,0,160,90")),
    Defect("a part beyond the bottom", "storyboard.parts", edit(CUES, "320,90,160,90", "320,90,160,91")),
    Defect("a part of nothing", "storyboard.parts", edit(CUES, "320,90,160,90", "320,90,160,0")),
    Defect("a picture that is none", "storyboard.pictures", bytes_of(SHEET, lambda data: data[2:])),
    Defect("a picture without a frame", "storyboard.pictures", bytes_of(SHEET, lambda data: data[:20])),
    Defect("half of a picture", "storyboard.pictures", bytes_of(SHEET, lambda data: data[: len(data) // 2])),
    Defect("a missing picture", "master.uris-answer", removed(SHEET)),
    Defect("a picture outside", "master.uris-stay", edit(CUES, "storyboard.jpg", "../../secret.jpg")),
    Defect(
        "a picture on another host", "master.uris-stay", edit(CUES, "storyboard.jpg", "//h/storyboard.jpg")
    ),
    Defect("a forgotten segment", "whole.no-stray-files", stray_segment),
]
