"""Maps unexpected errors of a step to failures."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gostream_shared.domain.errors import GoStreamError
from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError


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
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkerFullError from error
        failed = ProcessingFailedError(Code.INTERNAL, f"{type(error).__name__}: {error}")
        failed.stage = current()
        raise failed from error
