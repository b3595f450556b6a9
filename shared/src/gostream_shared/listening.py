"""Addresses that a service listens on."""

from gostream_shared.config_types import join_address
from gostream_shared.domain.errors import GoStreamError


class CannotListenError(GoStreamError):
    """The address is in use, or does not belong to this machine."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"cannot listen on {join_address(host, port)}: is the port in use?")
