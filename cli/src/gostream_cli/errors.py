"""Exit codes of the command (docs/decisions/0060), and errors as JSON."""

from enum import IntEnum

from gostream_client.errors import ClientError, InvalidInputError, UnreachableError


class ExitCode(IntEnum):
    """The exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 4
    INTERRUPTED = 130


def exit_code(error: ClientError) -> ExitCode:
    """Returns the exit code for an error of the client."""
    if isinstance(error, InvalidInputError):
        return ExitCode.USAGE
    return ExitCode.UNREACHABLE if isinstance(error, UnreachableError) else ExitCode.FAILED


def document(error: ClientError) -> dict[str, dict[str, str | int]]:
    """Returns the error in the JSON form that `--json` prints on stderr."""
    return {
        "error": {
            "message": error.message,
            "reason": error.reason,
            "request_id": error.request_id,
            "exit_code": int(exit_code(error)),
        }
    }
