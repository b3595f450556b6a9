"""Maps unexpected errors of a step to failures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gostream_shared.domain.errors import GoStreamError
from gostream_worker.failures import ProcessingFailedError, unforeseen


@contextmanager
def expected_errors(stage: str | Callable[[], str]) -> Iterator[None]:
    """Raises GoStreamErrors only. A full disk is transient, any other unexpected error is INTERNAL."""

    def current() -> str:
        return stage if isinstance(stage, str) else stage()

    try:
        yield
    except ProcessingFailedError as error:
        error.stage = current()
        raise
    except GoStreamError:
        raise
    except Exception as error:
        raise unforeseen(error, current()) from error
