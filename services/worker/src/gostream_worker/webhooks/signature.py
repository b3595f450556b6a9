"""The headers of a delivery: its id, its time and its signatures, as Standard Webhooks defines them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook


def signed_headers(message_id: str, body: bytes, secrets: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Returns the headers. Each secret signs, so that a receiver may have any of them."""
    moment = now.astimezone(UTC)  # the library takes the digits of any zone for UTC
    text = body.decode()
    signatures = [Webhook(secret).sign(msg_id=message_id, timestamp=moment, data=text) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
