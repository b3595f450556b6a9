"""Which parts are missing, without a store."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gostream_api.uploads.stored_parts import missing_parts
from gostream_shared.domain.uploads import UploadSession, UploadState
from gostream_shared.storage.port import StoredPart

#: Three parts of 10 bytes and one of 5.
SESSION = UploadSession(
    video_id=uuid4(),
    state=UploadState.OPEN,
    generation=1,
    store_upload_id="u",
    size_bytes=35,
    part_size=10,
    expires_at=datetime.now(UTC),
)


@pytest.mark.parametrize(
    ("sizes", "missing"),
    [
        ({1: 10, 2: 10, 3: 10, 4: 5}, []),
        ({1: 10, 2: 10, 3: 10, 4: 5, 5: 1}, []),
        ({}, [1, 2, 3, 4]),
        ({1: 10, 3: 10, 4: 5}, [2]),
        ({1: 10, 2: 9, 3: 11, 4: 5}, [2, 3]),
        ({1: 10, 2: 10, 3: 10, 4: 10}, [4]),
    ],
)
def test_absent_parts_and_wrong_sizes_are_missing(sizes: dict[int, int], missing: list[int]) -> None:
    stored = [StoredPart(number=number, size=size, etag="") for number, size in sizes.items()]

    assert missing_parts(SESSION, stored) == missing


def test_size_of_an_exact_multiple_is_whole() -> None:
    session = UploadSession(
        video_id=SESSION.video_id,
        state=SESSION.state,
        generation=1,
        store_upload_id="u",
        size_bytes=20,
        part_size=10,
        expires_at=SESSION.expires_at,
    )

    assert (session.part_count, session.size_of(1), session.size_of(2)) == (2, 10, 10)
