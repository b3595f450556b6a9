"""One worker."""

import os
import shlex
from collections.abc import Mapping, Sequence

from gostream_devstack.servers.service import Service, python


class Worker(Service):
    """`GOSTREAM_WORKER_COMMAND` replaces the program."""

    def command(self) -> Sequence[str]:
        return shlex.split(os.environ.get("GOSTREAM_WORKER_COMMAND", "")) or python("gostream_worker.app")

    def addresses(self) -> Mapping[str, str]:
        return {"WORKER_HOST": self.host, "WORKER_PORT": str(self.port)}
