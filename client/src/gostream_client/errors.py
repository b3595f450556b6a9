"""The errors of calls, uploads and watches, with messages for people."""


class ClientError(Exception):
    """Base class of all errors of this package: a message, the API's reason and the request id.

    `retry_after` is the delay in seconds that the API asks for; None = the API named no delay.
    """

    def __init__(
        self, message: str, *, reason: str = "", request_id: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = [self.reason, f"request id {self.request_id}" if self.request_id else ""]
        details = ", ".join(fact for fact in facts if fact)
        return f"{self.message} ({details})" if details else self.message


class InvalidInputError(ClientError):
    """An argument is invalid; no request was sent."""


class UnreachableError(ClientError):
    """No server answered, or the server did not authenticate the caller."""
