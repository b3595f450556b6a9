import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gostream.v1 import video_service_pb2
from gostream_client.errors import ClientError, InvalidInputError, UnreachableError
from gostream_client.upload import ATTEMPTS, SourceFile, put
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


async def test_the_store_gets_the_bytes_with_the_headers_the_server_named(
    store: Store, source: SourceFile
) -> None:
    assert await send(store, source) == []
    assert store.sha256 == hashlib.sha256(source.path.read_bytes()).hexdigest()
    assert store.headers["Content-Type"] == "video/mp4"
    assert store.headers["x-amz-meta-a"] == "b"
    assert store.headers["Content-Length"] == str(SIZE)
    assert "Transfer-Encoding" not in store.headers


async def test_the_signed_url_is_sent_as_it_was_written(store: Store, source: SourceFile) -> None:
    await send(store, source)
    assert store.query == "X-Amz-Signature=abc%2Fdef%2B"


async def test_progress_rises_from_zero_to_the_whole_size(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    await send(store, source, on_sent=counts.append)
    assert counts[0] == 0
    assert counts[-1] == SIZE
    assert counts == sorted(counts)


@pytest.mark.parametrize("first", [cut_connection, s3_error(503, "SlowDown", "Reduce your request rate.")])
async def test_a_passing_failure_is_tried_again_from_the_first_byte(
    store: Store, source: SourceFile, first: Answer
) -> None:
    store.answers.append(first)
    retries = await send(store, source)
    assert len(retries) == 1
    assert store.puts == 2
    assert store.sha256 == hashlib.sha256(source.path.read_bytes()).hexdigest()


async def test_it_gives_up_after_three_retries(store: Store, source: SourceFile) -> None:
    store.answers.extend([s3_error(500, "InternalError", "We encountered an internal error.")] * 10)
    with pytest.raises(ClientError, match="internal error") as caught:
        await send(store, source)
    assert store.puts == ATTEMPTS == 4
    assert isinstance(caught.value, UnreachableError)


async def test_a_store_that_takes_nothing_is_given_up(store: Store, source: SourceFile) -> None:
    store.answers.extend([never_answer] * 10)
    with pytest.raises(ClientError, match="accepted no data"):
        await send(store, source, stall=0.2)


async def test_a_refusal_is_not_repeated_and_says_what_the_store_said(
    store: Store, source: SourceFile
) -> None:
    store.answers.append(s3_error(403, "SignatureDoesNotMatch", "Check your key and signing method."))
    with pytest.raises(ClientError, match=r"refused the upload \(403\): Check your key") as caught:
        await send(store, source)
    assert store.puts == 1
    assert caught.value.reason == "SignatureDoesNotMatch"
    assert not isinstance(caught.value, (InvalidInputError, UnreachableError))


async def test_a_refusal_comes_before_the_body_is_sent(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    store.answers.append(s3_error(403, "AccessDenied", "Request has expired"))
    with pytest.raises(ClientError):
        await send(store, source, on_sent=counts.append)
    assert not any(counts)


async def test_a_source_that_exists_is_not_replaced(store: Store, source: SourceFile) -> None:
    store.answers.append(EXISTS)
    with pytest.raises(ClientError, match="this video already has a source") as caught:
        await send(store, source)
    assert store.puts == 1
    assert not isinstance(caught.value, (InvalidInputError, UnreachableError))


async def test_an_upload_whose_confirmation_is_lost_has_succeeded(store: Store, source: SourceFile) -> None:
    counts: list[int] = []
    store.answers.extend([cut_connection, EXISTS])
    retries = await send(store, source, on_sent=counts.append)
    assert (len(retries), store.puts, counts[-1]) == (1, 2, SIZE)


async def test_an_expired_url_is_called_so(store: Store, source: SourceFile) -> None:
    store.answers.append(s3_error(403, "AccessDenied", "Request has expired"))
    with pytest.raises(ClientError, match="the upload URL expired at"):
        await send(store, source, upload=store.upload(expires_in=-1))


async def test_a_file_that_shrinks_meanwhile_is_an_error_of_its_own(store: Store, source: SourceFile) -> None:
    source.path.write_bytes(b"short")
    with pytest.raises(ClientError, match="became shorter"):
        await send(store, source)
    assert store.puts == 1


async def test_a_store_that_is_not_there_is_unreachable(store: Store, source: SourceFile) -> None:
    upload = video_service_pb2.Upload(method="PUT", url="http://127.0.0.1:1/x?secret=1")
    with pytest.raises(ClientError, match="connection to the object store failed") as caught:
        await send(store, source, upload=upload)
    assert isinstance(caught.value, UnreachableError)
    assert "secret" not in str(caught.value)


def test_missing_and_empty_files_are_refused_before_anything_is_created(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InvalidInputError, match="is empty"):
        SourceFile(tmp_path / "empty.mp4")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        SourceFile(tmp_path / "missing.mp4")
