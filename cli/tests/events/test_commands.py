"""`events` and `webhooks` on a scripted server."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc
import pytest
from aiohttp import web
from google.protobuf.empty_pb2 import Empty
from standardwebhooks.webhooks import Webhook as Verifier

from cli.tests.conftest import Gostream, capture
from gostream.v1 import webhook_service_pb2 as messages
from gostream.v1.event_pb2 import Event
from gostream.v1.webhook_pb2 import Delivery, Webhook
from gostream.v1.webhook_service_pb2_grpc import (
    WebhookServiceServicer,
    add_WebhookServiceServicer_to_server,
)
from gostream_cli.events import commands
from gostream_client import AsyncClient, InvalidInputError
from tests.support.fake_server import ApiServer

Answer = TypeVar("Answer")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def event(number: int) -> Event:
    made = Event(id=f"e{number}", type="video.ready", video_id=ID, version=number, resume_token=f"t{number}")
    made.create_time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    made.status = made.video.STATUS_READY
    return made


class Hooks(WebhookServiceServicer):
    """Answers with one webhook and one delivery, and records the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.state = Delivery.STATE_PENDING

    def _answer(self, request: Any, answer: Answer) -> Answer:
        self.requests.append(request)
        return answer

    def _delivery(self) -> Delivery:
        error = "the receiver answered 500" if self.state == Delivery.STATE_DEAD else ""
        return Delivery(id="d1", webhook_id=ID, type="webhook.test", state=self.state, attempt=1, error=error)

    async def CreateWebhook(self, request: Any, context: Any) -> messages.CreateWebhookResponse:  # noqa: N802
        hook = Webhook(id=ID, url=request.url, types=request.types)
        return self._answer(request, messages.CreateWebhookResponse(webhook=hook, secret=SECRET))

    async def GetWebhook(self, request: Any, context: Any) -> Webhook:  # noqa: N802
        return self._answer(request, Webhook(id=ID))

    async def ListWebhooks(self, request: Any, context: Any) -> messages.ListWebhooksResponse:  # noqa: N802
        hook = Webhook(id=ID, url="https://receiver.example/", disabled=True)
        return self._answer(request, messages.ListWebhooksResponse(webhooks=[hook]))

    async def UpdateWebhook(self, request: Any, context: Any) -> Webhook:  # noqa: N802
        changed: Webhook = request.webhook
        return self._answer(request, changed)

    async def DeleteWebhook(self, request: Any, context: Any) -> Empty:  # noqa: N802
        return self._answer(request, Empty())

    async def RotateWebhookSecret(  # noqa: N802
        self, request: Any, context: Any
    ) -> messages.RotateWebhookSecretResponse:
        return self._answer(request, messages.RotateWebhookSecretResponse(secret=SECRET))

    async def TestWebhook(self, request: Any, context: Any) -> Delivery:  # noqa: N802
        delivery = self._answer(request, self._delivery())
        self.state = Delivery.STATE_DEAD
        return delivery

    async def ListDeliveries(self, request: Any, context: Any) -> messages.ListDeliveriesResponse:  # noqa: N802
        return self._answer(request, messages.ListDeliveriesResponse(deliveries=[self._delivery()]))

    async def Redeliver(self, request: Any, context: Any) -> messages.RedeliverResponse:  # noqa: N802
        return self._answer(request, messages.RedeliverResponse(count=3))


@pytest.fixture
async def hooks() -> AsyncIterator[tuple[Hooks, str]]:
    """A server of webhooks, and its address."""
    served, server = Hooks(), grpc.aio.server()
    add_WebhookServiceServicer_to_server(served, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield served, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_forwarded_events_are_signed(client: AsyncClient, server: ApiServer) -> None:
    received: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received.append((headers, await request.read()))
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    server.api.event_streams.append([event(1), event(2), 3600.0])
    shown = capture()

    work = commands.follow(client, shown.out, forward_to=url, secret="", resume_token="")
    following = asyncio.create_task(work)
    async with asyncio.timeout(60):
        while len(received) < 2:
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await runner.cleanup()

    notes = shown.stderr.getvalue()
    secret = notes.partition("signing with ")[2].split()[0]
    for headers, body in received:
        found = Verifier(secret).verify(body, headers)
        assert (found["type"], found["data"]["status"]) == ("video.ready", "READY")
    assert [headers["webhook-id"] for headers, _ in received] == ["e1", "e2"]
    assert "to continue: --follow --since t" in notes
    assert shown.stdout.getvalue().startswith(f"2026-01-02T03:04:05Z\tvideo.ready\t{ID}\t1\n")


async def test_options_become_filters(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream(
        *("events", "--since", "2h", "--type", "video.ready", "--video", ID, "--user", "alice"),
        *("-s", server.address, "--timeout", "60", "--json"),
    )

    assert ran.code == 0, ran
    [request] = server.api.requests
    assert (list(request.types), request.video_id, request.user_id) == (["video.ready"], ID, "alice")
    age = datetime.now(UTC) - request.since.ToDatetime(UTC)
    assert timedelta(hours=2) <= age < timedelta(hours=3)


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--since", "A" * 32)])
async def test_wrong_beginning_is_a_usage_error(gostream: Gostream, arguments: tuple[str, ...]) -> None:
    assert (await gostream("events", *arguments)).code == 2


async def test_wrong_targets_are_refused(client: AsyncClient) -> None:
    for url, secret in (("ftp://host/", ""), ("http://127.0.0.1:9/", "not base64 at all!")):
        with pytest.raises(InvalidInputError):
            await commands.follow(client, capture().out, forward_to=url, secret=secret, resume_token="")


async def test_webhooks_are_managed(gostream: Gostream, hooks: tuple[Hooks, str]) -> None:
    served, address = hooks
    expected = {
        ("add", "https://receiver.example/", "--type", "video.ready"): f"id:\t{ID}\nsecret:\t{SECRET}\n",
        ("ls",): f"{ID}\tdisabled\tall\thttps://receiver.example/\n",
        ("rotate", ID, "--overlap", "5"): f"secret:\t{SECRET}\n",
        ("test", ID): "the receiver answered 500\n",
        ("deliveries", ID, "--state", "dead"): "the receiver answered 500\n",
        ("redeliver", ID, "--since", "24h", "--type", "video.ready"): "",
        ("redeliver", ID, "--delivery", ID): "",
        ("rm", ID): "",
    }
    for arguments, ending in expected.items():
        ran = await gostream("webhooks", *arguments, "-s", address, "--timeout", "60")
        assert ran.code == 0, ran
        assert ran.stdout.endswith(ending)

    assert (await gostream("webhooks", "redeliver", ID, "-s", address)).code == 2
    assert (await gostream("webhooks", "deliveries", ID, "--state", "lost", "-s", address)).code == 2
    by_kind = {type(request).__name__: request for request in served.requests}
    assert by_kind["RotateWebhookSecretRequest"].overlap.seconds == 300
    assert by_kind["ListDeliveriesRequest"].state == Delivery.STATE_DEAD
    assert json.loads((await gostream("webhooks", "rm", ID, "--json", "-s", address)).stdout)["deleted"]
