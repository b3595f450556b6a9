"""One API replica."""

import os
import shlex
from collections.abc import Mapping, Sequence

from gostream_devstack.servers.service import Service, python


class Api(Service):
    """`GOSTREAM_API_COMMAND` replaces the program, for example to run it under a debugger."""

    def command(self) -> Sequence[str]:
        return shlex.split(os.environ.get("GOSTREAM_API_COMMAND", "")) or python("gostream_api.app")

    def addresses(self) -> Mapping[str, str]:
        # All clients are on loopback, and so is Envoy.
        return {"API_HOST": self.host, "API_PORT": str(self.port), "TRUSTED_PROXIES": "127.0.0.0/8"}
