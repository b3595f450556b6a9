"""Exit codes of the command (docs/decisions/0060), hints for its users, and errors as JSON."""

from enum import IntEnum

from gostream_client import (
    DeadlineExceededError,
    GoStreamError,
    InvalidInputError,
    PlaintextTokenError,
    UnreachableError,
)


class ExitCode(IntEnum):
    """The exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 4
    INTERRUPTED = 130


def exit_code(error: GoStreamError) -> ExitCode:
    """Returns the exit code for an error of the client."""
    if isinstance(error, InvalidInputError):
        return ExitCode.USAGE
    unreachable = isinstance(error, UnreachableError) or error.code == "UNAUTHENTICATED"
    return ExitCode.UNREACHABLE if unreachable else ExitCode.FAILED


def hint(error: GoStreamError) -> str:
    """Returns which option may help, for the end of the message; empty if none does."""
    if isinstance(error, DeadlineExceededError):
        return "; --timeout allows more"
    if isinstance(error, PlaintextTokenError):
        return "; --allow-plaintext-token sends it nevertheless"
    # Errors of the API have another reason; this one is from a call that reached no server.
    return "; set --server or GOSTREAM_API_ADDR" if error.reason == "UNAVAILABLE" else ""


def document(error: GoStreamError) -> dict[str, dict[str, str | int]]:
    """Returns the error in the JSON form that `--json` prints on stderr."""
    return {
        "error": {
            "message": error.message + hint(error),
            "reason": error.reason,
            "request_id": error.request_id,
            "exit_code": int(exit_code(error)),
        }
    }
