"""The file of keys, and the end of signed URLs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gostream_api.videos.playback_tokens import PlaybackKeys, expiry
from gostream_shared.domain.errors import MisconfiguredError
from gostream_shared.domain.video import Publication, Source
from tests.support.videos import make_video

A, B = "a" * 43, "b" * 43
HOURS = timedelta(hours=1)


def test_file_may_have_two_keys_and_comments() -> None:
    keys = PlaybackKeys.parse(f'# made today\n\na "{A}";\n b "{B}";\nsigning b;\n')
    assert keys == PlaybackKeys("b", {"a": A, "b": B})
    assert A not in repr(keys)


@pytest.mark.parametrize("text", ["", "\n", "# no keys\n"])
def test_file_without_keys_signs_nothing(text: str) -> None:
    assert PlaybackKeys.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f'a "{A}";',
        "signing a;",
        f'a "{A}";\nsigning b;',
        f'a "{A}";\na "{B}";\nsigning a;',
        f'a "{A}";\nsigning a;\nsigning a;',
        f'a "{A[1:]}";\nsigning a;',
        f'c "{A}";\nsigning c;',
        f'a "{A}"\nsigning a;',
        f'a "{A}";\nsigning a;\nelse',
        f'a "{A[1:]}$";\nsigning a;',
    ],
)
def test_wrong_file_is_refused(text: str) -> None:
    with pytest.raises(MisconfiguredError) as refusal:
        PlaybackKeys.parse(text)
    assert A not in str(refusal.value)


@pytest.mark.parametrize(("duration", "expected"), [(1, 6), (2.5, 6), (4, 9)])
def test_url_outlasts_a_paused_playback(duration: float, expected: float) -> None:
    publication = Publication(
        duration=duration * HOURS,
        source=Source(container="mov", codecs=(), size_bytes=1, fps=25.0),
        renditions=(),
    )
    now = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    video = replace(make_video(), published_number=1, publication=publication)
    assert expiry(video, None, least=6 * HOURS, now=now) == now + expected * HOURS


@pytest.mark.parametrize(("minute", "end"), [(0, 15), (1, 30), (14, 30), (15, 30), (16, 45)])
def test_urls_end_at_full_quarters(minute: int, end: int) -> None:
    hour = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    now = hour + timedelta(minutes=minute)
    ends = expiry(make_video(), timedelta(minutes=15), least=HOURS, now=now)
    assert ends == hour + timedelta(minutes=end)
