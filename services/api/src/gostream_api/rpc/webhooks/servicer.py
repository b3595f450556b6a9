"""The gRPC servicer of gostream.v1.WebhookService: each RPC validates, calls a use case and converts."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from gostream.v1 import webhook_pb2
from gostream.v1.webhook_service_pb2 import (
    DESCRIPTOR,
    CreateWebhookRequest,
    CreateWebhookResponse,
    DeleteWebhookRequest,
    GetWebhookRequest,
    ListDeliveriesRequest,
    ListDeliveriesResponse,
    ListWebhooksRequest,
    ListWebhooksResponse,
    RedeliverRequest,
    RedeliverResponse,
    RotateWebhookSecretRequest,
    RotateWebhookSecretResponse,
    TestWebhookRequest,
    UpdateWebhookRequest,
)
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.interceptors.telemetry import request_id_of
from gostream_api.rpc.webhooks import validation
from gostream_api.rpc.webhooks.convert import delivery_message, webhook_message
from gostream_api.videos.trail import Origin
from gostream_api.webhooks.webhook_service import WebhookService
from gostream_shared.egress.guard import EgressGuard

WEBHOOKS = DESCRIPTOR.services_by_name["WebhookService"].full_name


@dataclass(frozen=True, slots=True)
class WebhookServicer:
    """The RPCs of WebhookService over its use cases. `guard`: which URLs a webhook may have."""

    webhooks: WebhookService
    guard: EgressGuard
    client_of: ClientOf

    async def CreateWebhook(  # noqa: N802
        self, request: Asked[CreateWebhookRequest], context: Context
    ) -> CreateWebhookResponse:
        url, types = validation.create_webhook(request.message, self.guard)
        origin, user_id = self._origin(context), request.message.user_id
        made = await self.webhooks.create_webhook(
            request.caller, origin, user_id=user_id, url=url, types=types
        )
        return CreateWebhookResponse(webhook=webhook_message(made.webhook), secret=made.secret)

    async def GetWebhook(  # noqa: N802
        self, request: Asked[GetWebhookRequest], context: Context
    ) -> webhook_pb2.Webhook:
        webhook_id = validation.webhook_id(request.message)
        return webhook_message(await self.webhooks.get_webhook(request.caller, webhook_id))

    async def ListWebhooks(  # noqa: N802
        self, request: Asked[ListWebhooksRequest], context: Context
    ) -> ListWebhooksResponse:
        asked_for, size = request.message, validation.list_webhooks(request.message)
        page, token = await self.webhooks.list_webhooks(
            request.caller, user_id=asked_for.user_id, page_size=size, token=asked_for.page_token
        )
        return ListWebhooksResponse(webhooks=map(webhook_message, page), next_page_token=token)

    async def UpdateWebhook(  # noqa: N802
        self, request: Asked[UpdateWebhookRequest], context: Context
    ) -> webhook_pb2.Webhook:
        webhook_id, changes = validation.update_webhook(request.message, self.guard)
        webhook = await self.webhooks.update_webhook(
            request.caller, self._origin(context), webhook_id, changes
        )
        return webhook_message(webhook)

    async def DeleteWebhook(self, request: Asked[DeleteWebhookRequest], context: Context) -> Empty:  # noqa: N802
        webhook_id = validation.webhook_id(request.message)
        await self.webhooks.delete_webhook(request.caller, self._origin(context), webhook_id)
        return Empty()

    async def RotateWebhookSecret(  # noqa: N802
        self, request: Asked[RotateWebhookSecretRequest], context: Context
    ) -> RotateWebhookSecretResponse:
        webhook_id, overlap = validation.rotate(request.message)
        secret, ends_at = await self.webhooks.rotate_secret(
            request.caller, self._origin(context), webhook_id, overlap=overlap
        )
        message = RotateWebhookSecretResponse(secret=secret)
        message.earlier_expire_time.FromDatetime(ends_at)
        return message

    async def TestWebhook(  # noqa: N802
        self, request: Asked[TestWebhookRequest], context: Context
    ) -> webhook_pb2.Delivery:
        webhook_id = validation.webhook_id(request.message)
        return delivery_message(
            await self.webhooks.test_webhook(request.caller, self._origin(context), webhook_id)
        )

    async def ListDeliveries(  # noqa: N802
        self, request: Asked[ListDeliveriesRequest], context: Context
    ) -> ListDeliveriesResponse:
        webhook_id, state, size = validation.list_deliveries(request.message)
        page, token = await self.webhooks.list_deliveries(
            request.caller, webhook_id, state=state, page_size=size, token=request.message.page_token
        )
        return ListDeliveriesResponse(deliveries=map(delivery_message, page), next_page_token=token)

    async def Redeliver(self, request: Asked[RedeliverRequest], context: Context) -> RedeliverResponse:  # noqa: N802
        wanted = validation.redeliver(request.message)
        count = await self.webhooks.redeliver(
            request.caller,
            self._origin(context),
            wanted.webhook_id,
            delivery_id=wanted.delivery_id,
            since=wanted.since,
            types=wanted.types,
        )
        return RedeliverResponse(count=count)

    def _origin(self, context: Context) -> Origin:
        return Origin(request_id=request_id_of(context), peer=self.client_of(context))


def webhook_handlers(servicer: WebhookServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request."""
    kinds: dict[str, tuple[Any, Any]] = {
        "CreateWebhook": (CreateWebhookRequest, CreateWebhookResponse),
        "GetWebhook": (GetWebhookRequest, webhook_pb2.Webhook),
        "ListWebhooks": (ListWebhooksRequest, ListWebhooksResponse),
        "UpdateWebhook": (UpdateWebhookRequest, webhook_pb2.Webhook),
        "DeleteWebhook": (DeleteWebhookRequest, Empty),
        "RotateWebhookSecret": (RotateWebhookSecretRequest, RotateWebhookSecretResponse),
        "TestWebhook": (TestWebhookRequest, webhook_pb2.Delivery),
        "ListDeliveries": (ListDeliveriesRequest, ListDeliveriesResponse),
        "Redeliver": (RedeliverRequest, RedeliverResponse),
    }
    return {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, name), asked(request.FromString), answer.SerializeToString
        )
        for name, (request, answer) in kinds.items()
    }
