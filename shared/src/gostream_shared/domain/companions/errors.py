"""The errors of events and webhooks, as domain.errors has the others."""

from uuid import UUID

from gostream_shared.domain.errors import GoStreamError


class ResumeTokenInvalidError(GoStreamError):
    """The resume token was not issued by GoStream."""

    def __init__(self) -> None:
        super().__init__("the resume token is not valid")


class ResumeTokenExpiredError(GoStreamError):
    """Events after the position of the token were deleted, or the database was restored since."""

    def __init__(self) -> None:
        super().__init__("events after this position may be lost; begin anew, without a token")


class WebhookNotFoundError(GoStreamError):
    """The webhook does not exist, or belongs to another owner."""

    def __init__(self, webhook_id: UUID) -> None:
        super().__init__(f"webhook {webhook_id} was not found")
        self.webhook_id = webhook_id
