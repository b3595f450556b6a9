import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gostream.v1 import video_service_pb2
from gostream_client import GoStreamError, InvalidInputError, SourceFile, UnreachableError
from gostream_client.upload.single import ATTEMPTS, put
from tests.support.fake_server import Answer, Store, cut_connection, never_answer, s3_error

EXISTS = s3_error(412, "PreconditionFailed", "At least one of the preconditions did not hold")
SIZE = 3 * (1 << 20) + 17


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    path = tmp_path / "film.mp4"
    path.write_bytes(hashlib.sha256(b"seed").digest() * (SIZE // 32) + b"x" * (SIZE % 32))
    return SourceFile(path)


def nothing(sent: int) -> None:
    pass


async def send(
    store: Store,
    source: SourceFile,
    *,
    upload: video_service_pb2.Upload | None = None,
    on_sent: Callable[[int], None] = nothing,
    stall: float = 20.0,
) -> list[str]:
    retries: list[str] = []
    await put(
        upload or store.upload(),
        source,
        on_sent=on_sent,
        on_retry=retries.append,
        stall=stall,
        backoff=0.001,
    )
    return retries


async def test_upload_sends_bytes_with_the_servers_headers(store: Store, source: SourceFile) -> None:
    assert await send(store, source) == []
    assert store.sha256 == hashlib.sha256(source.path.read_bytes()).hexdigest()
    assert store.headers["Content-Type"] == "video/mp4"
    assert store.headers["x-amz-meta-a"] == "b"
    assert store.headers["Content-Length"] == str(SIZE)
    assert "Transfer-Encoding" not in store.headers


async def test_signed_url_is_sent_unchanged(store: Store, source: SourceFile) -> None:
    await send(store, source)
    assert store.query == "X-Amz-Signature=abc%2Fdef%2B"


async def test_progress_rises_from_zero_to_the_size(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    await send(store, source, on_sent=counts.append)
    assert counts[0] == 0
    assert counts[-1] == SIZE
    assert counts == sorted(counts)


@pytest.mark.parametrize("first", [cut_connection, s3_error(503, "SlowDown", "Reduce your request rate.")])
async def test_transient_failure_is_retried_from_the_first_byte(
    store: Store, source: SourceFile, first: Answer
) -> None:
    store.answers.append(first)
    retries = await send(store, source)
    assert len(retries) == 1
    assert store.puts == 2
    assert store.sha256 == hashlib.sha256(source.path.read_bytes()).hexdigest()


async def test_upload_fails_after_three_retries(store: Store, source: SourceFile) -> None:
    store.answers.extend([s3_error(500, "InternalError", "We encountered an internal error.")] * 10)
    with pytest.raises(GoStreamError, match="internal error") as caught:
        await send(store, source)
    assert store.puts == ATTEMPTS == 4
    assert isinstance(caught.value, UnreachableError)


async def test_stalled_upload_is_aborted(store: Store, source: SourceFile) -> None:
    store.answers.extend([never_answer] * 10)
    with pytest.raises(GoStreamError, match="accepted no data"):
        await send(store, source, stall=0.2)


async def test_refused_upload_is_not_retried_and_is_explained(store: Store, source: SourceFile) -> None:
    store.answers.append(s3_error(403, "SignatureDoesNotMatch", "Check your key and signing method."))
    with pytest.raises(GoStreamError, match=r"refused the upload \(403\): Check your key") as caught:
        await send(store, source)
    assert store.puts == 1
    assert caught.value.reason == "SignatureDoesNotMatch"
    assert not isinstance(caught.value, (InvalidInputError, UnreachableError))


async def test_refused_upload_sends_no_body(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    store.answers.append(s3_error(403, "AccessDenied", "Request has expired"))
    with pytest.raises(GoStreamError):
        await send(store, source, on_sent=counts.append)
    assert not any(counts)


async def test_existing_source_is_not_replaced(store: Store, source: SourceFile) -> None:
    store.answers.append(EXISTS)
    with pytest.raises(GoStreamError, match="this video already has a source") as caught:
        await send(store, source)
    assert store.puts == 1
    assert not isinstance(caught.value, (InvalidInputError, UnreachableError))


async def test_upload_with_lost_confirmation_has_succeeded(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    store.answers.extend([cut_connection, EXISTS])
    retries = await send(store, source, on_sent=counts.append)
    assert (len(retries), store.puts, counts[-1]) == (1, 2, SIZE)


async def test_expired_url_is_named_as_such(store: Store, source: SourceFile) -> None:
    store.answers.append(s3_error(403, "AccessDenied", "Request has expired"))
    with pytest.raises(GoStreamError, match="the upload URL expired at"):
        await send(store, source, upload=store.upload(expires_in=-1))


async def test_file_that_shrinks_during_upload_is_reported(store: Store, source: SourceFile) -> None:
    source.path.write_bytes(b"short")
    with pytest.raises(GoStreamError, match="became shorter"):
        await send(store, source)
    assert store.puts == 1


async def test_missing_store_is_unreachable(store: Store, source: SourceFile) -> None:
    upload = video_service_pb2.Upload(method="PUT", url="http://127.0.0.1:1/x?secret=1")
    with pytest.raises(GoStreamError, match="connection to the object store failed") as caught:
        await send(store, source, upload=upload)
    assert isinstance(caught.value, UnreachableError)
    assert "secret" not in str(caught.value)


def test_missing_and_empty_files_create_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InvalidInputError, match="is empty"):
        SourceFile(tmp_path / "empty.mp4")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        SourceFile(tmp_path / "missing.mp4")
