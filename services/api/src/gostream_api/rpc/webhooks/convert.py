"""Converts webhooks and deliveries to protobuf messages."""

from gostream.v1 import webhook_pb2
from gostream_shared.domain.companions.webhooks import Delivery, DeliveryState, Webhook

_STATES = {state: webhook_pb2.Delivery.State.Value(f"STATE_{state}") for state in DeliveryState}


def webhook_message(webhook: Webhook) -> webhook_pb2.Webhook:
    message = webhook_pb2.Webhook(
        id=str(webhook.id),
        url=webhook.url,
        types=sorted(webhook.types),
        disabled=webhook.is_disabled,
        disabled_reason=webhook.disabled_reason,
        user_id=webhook.user_id,
    )
    message.create_time.FromDatetime(webhook.created_at)
    return message


def delivery_message(delivery: Delivery) -> webhook_pb2.Delivery:
    message = webhook_pb2.Delivery(
        id=str(delivery.id),
        webhook_id=str(delivery.webhook_id),
        event_id=str(delivery.event_id),
        type=delivery.type,
        video_id="" if delivery.video_id is None else str(delivery.video_id),
        state=_STATES[delivery.state],
        attempt=delivery.attempt,
        http_status=delivery.http_status,
        error=delivery.error,
    )
    message.create_time.FromDatetime(delivery.created_at)
    message.took.FromTimedelta(delivery.took)
    if delivery.state is DeliveryState.PENDING:
        message.next_time.FromDatetime(delivery.next_at)
    return message
