import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.errors import PlaylistError
from gostream_conformance.playlist.model import ByteRange, Key
from gostream_conformance.playlist.parser import MAX_ENTRIES, parse_master, parse_media
from gostream_conformance.tree.sources import resolve

MEDIA = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-TARGETDURATION:6
# a comment
#EXT-X-SOMETHING-NEW:1
#EXTINF:6.000,a title
#EXT-X-BYTERANGE:100@50
a.ts
#EXTINF:5,
#EXT-X-BYTERANGE:70
a.ts

#EXT-X-ENDLIST
"""
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Main, loud",DEFAULT=YES,URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS="avc1.64001f, mp4a.40.2",RESOLUTION=1x2,FRAME-RATE=29.970,\
AUDIO="a",VIDEO="v"
v.m3u8
"""


def test_media_playlist_is_parsed() -> None:
    playlist = parse_media(MEDIA.encode())
    assert [s.duration for s in playlist.segments] == [6.0, 5.0]
    assert [s.byte_range for s in playlist.segments] == [ByteRange(50, 100), ByteRange(150, 70)]
    assert (playlist.version, playlist.needed_version, playlist.target_duration) == (4, 4, 6)
    assert playlist.ended
    assert parse_media(MEDIA.replace("\n", "\r\n").encode()) == playlist


def test_master_playlist_is_parsed() -> None:
    master = parse_master(MASTER.encode())
    (variant,) = master.variants
    assert variant.codecs == ("avc1.64001f", "mp4a.40.2")
    assert (variant.resolution, variant.frame_rate, variant.audio) == ((1, 2), 29.97, "a")
    assert variant.groups == {"AUDIO": "a", "VIDEO": "v"}
    assert (master.renditions[0].name, master.renditions[0].default) == ("Main, loud", True)


@pytest.mark.parametrize(
    "line",
    [
        "#EXT-X-MEDIA-SEQUENCE:1700000000000",
        "#EXT-X-PROGRAM-DATE-TIME:2024-02-29T23:59:59.123+0100",
        "#EXT-X-PROGRAM-DATE-TIME:2024-02-29T23:59:59Z",
        "#EXT-X-KEY:METHOD=NONE",
    ],
)
def test_optional_media_playlist_lines_are_accepted(line: str) -> None:
    assert parse_media(MEDIA.replace("# a comment", line).encode()).segments


def test_keys_of_a_playlist_are_parsed() -> None:
    key = '#EXT-X-KEY:METHOD=AES-128,URI="k?1",IV=0x0f,KEYFORMAT="identity"'
    playlist = parse_media(MEDIA.replace("# a comment", key).encode())
    assert playlist.keys == [Key(4, "AES-128", "k?1")]
    assert playlist.unsupported == "encrypted"
    session = MASTER.replace("#EXT-X-MEDIA:", '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXT-X-MEDIA:')
    assert parse_master(session.encode()).keys == [Key(2, "SAMPLE-AES", "k")]


def test_fragmented_mp4_is_recognised_by_segment_names() -> None:
    with_map = MEDIA.replace("# a comment", '#EXT-X-MAP:URI="head"')
    assert parse_media(with_map.encode()).unsupported == ""
    assert parse_media(with_map.replace("a.ts", "a.m4s?1").encode()).unsupported == ""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("#EXTM3U", "#EXTM3U8", 1),
        ("#EXTM3U", "\ufeff#EXTM3U", 1),
        ("#EXT-X-VERSION:4", "#EXT-X-VERSION:four", 2),
        ("#EXT-X-VERSION:4", "#EXT-X-VERSION:4\n#EXT-X-VERSION:4", 3),
        ("#EXT-X-TARGETDURATION:6\n", "", 1),
        ("6.000,a title", "6.000", 6),
        ("6.000,a title", "-6,", 6),
        ("6.000,a title", "nan,", 6),
        ("6.000,a title", "1e3,", 6),
        ("#EXTINF:5,\n", "", 10),
        ("100@50", "100", 7),
        ("100@50", "x@50", 7),
        ("a.ts\n\n", "\n", 9),
        ("a.ts\n#EXTINF", "a\x00.ts\n#EXTINF", 8),
        ("#EXT-X-ENDLIST", "#EXT-X-STREAM-INF:BANDWIDTH=1", 13),
        ("#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:LIVE", 13),
        ("#EXT-X-ENDLIST", "#EXT-X-KEY:IV=0x1", 13),
        ("#EXT-X-ENDLIST", "#EXT-X-KEY:METHOD=AES-128", 13),
        ("#EXT-X-ENDLIST", '#EXT-X-KEY:METHOD=ROT13,URI="k"', 13),
        ("#EXT-X-ENDLIST", '#EXT-X-KEY:METHOD=NONE,URI="k"', 13),
        ("#EXT-X-ENDLIST", '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=1', 13),
        ("#EXT-X-ENDLIST", '#EXT-X-MAP:URI=" k"', 13),
        ("#EXT-X-VERSION:4", "#EXT-X-VERSION:14", 2),
        ("# a comment", "# a \x9b comment", 4),
        ("# a comment", "#EXT-X-MEDIA-SEQUENCE:abc", 4),
        ("# a comment", "#EXT-X-MEDIA-SEQUENCE:", 4),
        ("# a comment", "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:1", 5),
        ("# a comment", "#EXT-X-DISCONTINUITY-SEQUENCE:-1", 4),
        ("#EXT-X-ENDLIST", "#EXT-X-MEDIA-SEQUENCE:1", 13),
        ("#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY-SEQUENCE:1", 13),
        ("# a comment", "#EXT-X-PROGRAM-DATE-TIME:yesterday", 4),
        ("# a comment", "#EXT-X-PROGRAM-DATE-TIME:2024-02-30T00:00:00Z", 4),
        ("# a comment", "#EXT-X-PROGRAM-DATE-TIME:2024-02-03", 4),
        ("#EXT-X-BYTERANGE:70", "#EXT-X-BYTERANGE:70\n#EXT-X-BYTERANGE:70", 11),
        ("#EXT-X-ENDLIST", "#EXT-X-BYTERANGE:1@1", 13),
        ("#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY", 13),
        ("#EXT-X-ENDLIST", "#EXTINF:5,", 13),
        ("a.ts\n\n", "a.ts \n", 11),
        ("a.ts\n\n", " a.ts\n", 11),
    ],
)
def test_invalid_media_playlists_are_refused(old: str, new: str, line: int) -> None:
    assert old in MEDIA
    with pytest.raises(PlaylistError) as caught:
        parse_media(MEDIA.replace(old, new, 1).encode())
    assert caught.value.line == line, caught.value


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BANDWIDTH=100,", ""),
        ("BANDWIDTH=100,", "BANDWIDTH=100,BANDWIDTH=100,"),
        ("BANDWIDTH=100,", "BANDWIDTH=fast,"),
        ("BANDWIDTH=100,", "BANDWIDTH=100,,"),
        ("RESOLUTION=1x2", "RESOLUTION=1080p"),
        ('AUDIO="a"', "AUDIO=a"),
        ('AUDIO="a"', 'AUDIO="a",'),
        ("v.m3u8\n", ""),
        ("v.m3u8\n", "#EXT-X-ENDLIST\nv.m3u8\n"),
        ('NAME="Main, loud",', ""),
        ("TYPE=AUDIO", "TYPE=SMELL"),
        ("DEFAULT=YES", "DEFAULT=MAYBE"),
        ("#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:"),
        ("DEFAULT=YES", "DEFAULT=YES,AUTOSELECT=NO"),
        ("DEFAULT=YES", 'INSTREAM-ID="CC1"'),
        ("TYPE=AUDIO", "TYPE=CLOSED-CAPTIONS"),
        (',URI="a.m3u8"', '\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="de"'),
        (',URI="a.m3u8"', '\n#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="de"'),
        ('"a.m3u8"', '" a.m3u8"'),
        ('VIDEO="v"', "VIDEO=NONE"),
        ("#EXT-X-MEDIA:", "#EXT-X-VERSION:99\n#EXT-X-MEDIA:"),
        ("#EXT-X-MEDIA:", "#EXT-X-SESSION-KEY:METHOD=NONE\n#EXT-X-MEDIA:"),
        ("#EXT-X-MEDIA:", "#EXT-X-SESSION-KEY:METHOD=AES-128\n#EXT-X-MEDIA:"),
        ("#EXT-X-MEDIA:", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b"\n' * MAX_ENTRIES + "#EXT-X-MEDIA:"),
    ],
)
def test_invalid_master_playlists_are_refused(old: str, new: str) -> None:
    assert old in MASTER
    with pytest.raises(PlaylistError):
        parse_master(MASTER.replace(old, new, 1).encode())


LINES = st.lists(
    st.one_of(
        st.sampled_from((MEDIA + MASTER).splitlines()), st.text(max_size=40), st.just('#EXT-X-MAP:URI="a"')
    )
)


@given(LINES, st.binary(max_size=20))
def test_arbitrary_text_raises_only_playlist_errors(lines: list[str], tail: bytes) -> None:
    for head in ("#EXTM3U", ""):
        data = "\n".join([head, *lines]).encode() + tail
        for parse in (parse_master, parse_media):
            with contextlib.suppress(PlaylistError):
                parse(data)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("seg.ts", "v1/720p/seg.ts"),
        ("./a/seg.ts?x=1", "v1/720p/a/seg.ts?x=1"),
        ("a%20b.ts", "v1/720p/a%20b.ts"),
        ("a%20b.ts#t=1", "v1/720p/a%20b.ts"),
        ("../seg.ts", "v1/seg.ts"),
        ("../720p/seg.ts", "v1/720p/seg.ts"),
        ("a/../../seg.ts", "v1/seg.ts"),
        ("%2e%2E/360p/seg.ts", "v1/360p/seg.ts"),
        ("../../seg.ts?v=../x", "seg.ts?v=../x"),
        ("../../../seg.ts", None),
        ("../../../hls/v1/720p/seg.ts", None),
        ("%2e%2e/../.%2E/seg.ts", None),
        ("..%2f..%2f..%2fseg.ts", None),
        ("a%2f..%2fseg.ts", None),
        ("..", "v1"),
        ("%2fetc/passwd", None),
        ("/seg.ts", None),
        ("//host/seg.ts", None),
        ("http://host/seg.ts", None),
        ("file:///etc/passwd", None),
        ("data:,x", None),
        ("concat:a|b", None),
        ("..\\seg.ts", None),
        ("..%5cseg.ts", None),
        ("a%00.ts", None),
        ("", None),
        ("http://[", None),
    ],
)
def test_dot_segments_never_leave_the_tree(uri: str, path: str | None) -> None:
    assert resolve("v1/720p/playlist.m3u8?token=a/b", uri) == path
