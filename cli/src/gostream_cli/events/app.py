"""The names, options and help of events and webhooks."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gostream_cli.options import DEFAULT_SERVER, Json, Server, Timeout, moment

Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only events of this type; may be repeated."),
]
WebhookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.")]
_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
#: The length of a resume token.
_TOKEN = 32

webhooks = typer.Typer(name="webhooks", help="Manage webhooks.", no_args_is_help=True, rich_markup_mode=None)


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print events as they happen.")] = False,
    since: Annotated[
        str,
        typer.Option(metavar="TIME|AGE|TOKEN", help="Begin then, that long ago (1h), or after it."),
    ] = "",
    types: Types = None,
    video: Annotated[str, typer.Option(metavar="ID", help="Only events of this video.")] = "",
    user: Annotated[str, typer.Option(help="Only events of this owner.")] = "",
    forward_to: Annotated[
        str,
        typer.Option(metavar="URL", help="Follow, and post each event to this URL, signed."),
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            envvar="GOSTREAM_WEBHOOK_SECRET",
            metavar="SECRET",
            help="Sign with it, not with a new one.",
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of listed events.")] = 50,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """List events, the oldest first, or follow them."""
    is_token = len(since) == _TOKEN and not _AGE.fullmatch(since)
    began = None if is_token else _since(since, "--since")
    if is_token and not (follow or forward_to):
        raise typer.BadParameter("a token needs --follow", param_hint="--since")
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    filters = {"types": types or [], "video_id": video, "user_id": user, "since": began}
    if follow or forward_to:
        token = since if is_token else ""
        runner.call(
            server,
            out,
            timeout,
            lambda client: commands.follow(
                client, out, forward_to=forward_to, secret=secret, resume_token=token, **filters
            ),
        )
    else:
        runner.call(
            server, out, timeout, lambda client: commands.list_events(client, out, limit=limit, **filters)
        )


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where events are posted.")],
    types: Types = None,
    user: Annotated[str, typer.Option(help="Deliver the events of this owner.")] = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Create a webhook, and print the secret that signs its deliveries. Later calls do not show it."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(
        server, out, timeout, lambda client: commands.add(client, out, url, types=types or [], user_id=user)
    )


@webhooks.command("ls")
def list_webhooks(
    user: Annotated[str, typer.Option(help="Only webhooks for events of this owner.")] = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """List webhooks, the oldest first."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.list_webhooks(client, out, user_id=user))


@webhooks.command("rm")
def remove(
    webhook_id: WebhookId, server: Server = DEFAULT_SERVER, timeout: Timeout = None, json: Json = False
) -> None:
    """Delete a webhook with its deliveries."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.remove(client, out, webhook_id))


@webhooks.command("rotate")
def rotate(
    webhook_id: WebhookId,
    overlap: Annotated[
        int, typer.Option(min=0, max=1440, metavar="MINUTES", help="How long the earlier secrets sign too.")
    ] = 60,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Add a secret and print it. The earlier ones sign too for --overlap."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(
        server, out, timeout, lambda client: commands.rotate(client, out, webhook_id, minutes=overlap)
    )


@webhooks.command("test")
def send_test(
    webhook_id: WebhookId, server: Server = DEFAULT_SERVER, timeout: Timeout = None, json: Json = False
) -> None:
    """Deliver a test event, and show how the receiver answers."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.test(client, out, webhook_id))


@webhooks.command("deliveries")
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[
        str, typer.Option(metavar="pending|delivered|dead", help="Only deliveries in this state.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of deliveries.")] = 50,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """List the deliveries of a webhook, the newest first."""
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.deliveries(client, out, webhook_id, state=state, limit=limit),
    )


@webhooks.command("redeliver")
def redeliver(
    webhook_id: WebhookId,
    delivery: Annotated[str, typer.Option(metavar="ID", help="The delivery to make again.")] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME|AGE", help="Deliver the events since this time, or this long ago.")
    ] = "",
    types: Types = None,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Deliver again: one delivery, or all events since a time."""
    began = _since(since, "--since")
    from gostream_cli import output, runner
    from gostream_cli.events import commands

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.redeliver(
            client, out, webhook_id, delivery_id=delivery, since=began, types=types or []
        ),
    )


def _since(text: str, option: str) -> datetime | None:
    """Returns the time, also for an age such as 90m. Raises BadParameter."""
    if age := _AGE.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    return moment(text, option)
