"""The options that several commands share, and the names that they accept.

The contract has the names too, but importing it takes longer than `--help` in all. Tests compare both.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gostream_client import profiles

if TYPE_CHECKING:
    from gostream_client import EncodeOptions

STATUSES = ("pending-upload", "processing", "ready", "failed", "cancelled")
POLICIES = ("public", "signed", "off")

VideoId = Annotated[str, typer.Argument(metavar="ID", help="The video's id.")]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        "-s",
        envvar="GOSTREAM_API_ADDR",
        metavar="HOST:PORT",
        help="Address of the API; several, separated by commas, are used in rotation.",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON, one document per line; while watching, one line per state."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0.001, metavar="SECONDS", help="Deadline of each call; default: 2 to 10 s."
    ),
]
WholeTimeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Deadline of the whole command."),
]
DEFAULT_SERVER = "localhost:50051"
KINDS = ("video", "audio")
LOUDNESS = ("-16", "-23")
PROFILES = sorted(profiles.NAMES)


def _known_profile(name: str) -> str:
    if name and name not in PROFILES:
        raise typer.BadParameter(f"must be one of: {', '.join(PROFILES)}")
    return name


def _known_status(name: str) -> str:
    """Accepts the usual forms: ready, READY, pending_upload, STATUS_PENDING_UPLOAD."""
    status = name.strip().lower().replace("_", "-").removeprefix("status-")
    if status and status not in STATUSES:
        raise typer.BadParameter(f"must be one of: {', '.join(STATUSES)}")
    return status


Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="|".join(PROFILES),
        help="Encoding profile; default: the server's default.",
        callback=_known_profile,
        autocompletion=lambda: PROFILES,
    ),
]
Status = Annotated[
    str,
    typer.Option(
        metavar="|".join(STATUSES),
        help="Only videos in this state.",
        callback=_known_status,
        autocompletion=lambda: list(STATUSES),
    ),
]


def _known_kind(name: str) -> str:
    """Accepts the usual forms: audio, AUDIO, MEDIA_KIND_AUDIO."""
    kind = name.strip().lower().removeprefix("media_kind_")
    if kind and kind not in KINDS:
        raise typer.BadParameter(f"must be one of: {', '.join(KINDS)}")
    return kind


def _known_loudness(text: str) -> str:
    """Accepts the usual forms: -16, -16.0, -16LUFS."""
    target = text.strip().lower().removesuffix("lufs").strip().removesuffix(".0")
    if target and target not in LOUDNESS:
        raise typer.BadParameter(f"must be one of: {', '.join(LOUDNESS)}")
    return target or "0"


Kind = Annotated[
    str,
    typer.Option(
        metavar="|".join(KINDS),
        help="Only published videos of this kind.",
        callback=_known_kind,
        autocompletion=lambda: list(KINDS),
    ),
]
Loudness = Annotated[
    str,
    typer.Option(
        metavar="|".join(LOUDNESS),
        help="Loudness of all sounds in LUFS; default: as in the source.",
        callback=_known_loudness,
        autocompletion=lambda: list(LOUDNESS),
    ),
]


def _known_policy(name: str) -> str:
    """Accepts the usual forms: signed, SIGNED, PLAYBACK_POLICY_SIGNED."""
    policy = name.strip().lower().removeprefix("playback_policy_")
    if policy and policy not in POLICIES:
        raise typer.BadParameter(f"must be one of: {', '.join(POLICIES)}")
    return policy


POLICY = typer.Option(
    "--policy",
    metavar="|".join(POLICIES),
    help="Who may play the video: everybody, those with a signed URL, nobody.",
    callback=_known_policy,
    autocompletion=lambda: list(POLICIES),
)

Start = Annotated[
    str, typer.Option("--start", metavar="TIME", help="Where in the source the film begins: 90 or 1:30.")
]
End = Annotated[str, typer.Option("--end", metavar="TIME", help="Where in the source the film ends.")]
PosterAt = Annotated[
    str, typer.Option("--poster-at", metavar="TIME", help="The time of the film that the poster shows.")
]
DOWNLOADS = ("highest", "audio")


def _known_downloads(names: list[str] | None) -> list[str]:
    for name in names or ():
        if name not in DOWNLOADS:
            raise typer.BadParameter(f"must be one of: {', '.join(DOWNLOADS)}")
    return list(dict.fromkeys(names or ()))


Downloads = Annotated[
    list[str] | None,
    typer.Option(
        "--download",
        metavar="|".join(DOWNLOADS),
        help="Also make a file to download: the film, or its sound; may be repeated.",
        callback=_known_downloads,
        autocompletion=lambda: list(DOWNLOADS),
    ),
]


def seconds_of(text: str, option: str) -> float | None:
    """Returns a time in a film, given as seconds, M:S or H:M:S; None if empty. Raises BadParameter."""
    if not text:
        return None
    if not re.fullmatch(r"(?:[0-9]{1,5}:){0,2}[0-9]{1,6}(?:\.[0-9]{1,6})?", text):
        raise typer.BadParameter(f"{text!r} is not a time, such as 90, 1:30 or 0:01:30.5", param_hint=option)
    found = 0.0
    for part in text.split(":"):
        found = found * 60 + float(part)
    return found


def encoding(
    start: str, end: str, poster_at: str, downloads: Sequence[str] | None, loudness: str
) -> "EncodeOptions | None":
    """Returns the options of an encode; None if none is given. Raises BadParameter."""
    given = {
        "start": seconds_of(start, "--start"),
        "end": seconds_of(end, "--end"),
        "poster_offset": seconds_of(poster_at, "--poster-at"),
    }
    target = int(loudness)
    if not (downloads or target) and all(value is None for value in given.values()):
        return None
    from gostream_client import EncodeOptions

    return EncodeOptions(downloads=downloads or (), loudness=target, **given)


User = Annotated[str, typer.Option(help="The owner's name.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated.")
]
ExternalId = Annotated[str, typer.Option(help="Your own id of the video, unique among your videos.")]
Etag = Annotated[str, typer.Option(help="Do nothing if the video has changed since this etag was read.")]


def pairs(labels: Sequence[str] | None) -> dict[str, str]:
    """Returns the values of --label by key. Raises BadParameter."""
    for label in labels or ():
        if "=" not in label:
            raise typer.BadParameter(f"{label!r} is not KEY=VALUE", param_hint="--label")
    return dict(label.split("=", 1) for label in labels or ())


def moment(text: str, option: str) -> datetime | None:
    """Returns the time of an option, in UTC unless it names a zone; None if empty. Raises BadParameter."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        example = "is not a time, such as 2027-01-31 or 2027-01-31T12:00:00Z"
        raise typer.BadParameter(f"{text!r} {example}", param_hint=option) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def expiry(text: str, option: str) -> datetime | Literal["never"] | None:
    """As moment; also accepts "never"."""
    return "never" if text == "never" else moment(text, option)


UseTls = Annotated[
    bool, typer.Option("--tls", envvar="GOSTREAM_TLS", help="Connect by TLS; implied by the files below.")
]
CaFile = Annotated[
    Path | None,
    typer.Option(envvar="GOSTREAM_CA_FILE", metavar="FILE", help="Authority of the API's certificate."),
]
ClientCert = Annotated[
    Path | None,
    typer.Option(envvar="GOSTREAM_CLIENT_CERT", metavar="FILE", help="Certificate of this client."),
]
ClientKey = Annotated[
    Path | None,
    typer.Option(envvar="GOSTREAM_CLIENT_KEY", metavar="FILE", help="Key of the certificate."),
]
Token = Annotated[
    str, typer.Option(envvar="GOSTREAM_TOKEN", metavar="TOKEN", help="Token that proves who calls.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar="GOSTREAM_TOKEN_FILE", metavar="FILE", help="File with the token."),
]
