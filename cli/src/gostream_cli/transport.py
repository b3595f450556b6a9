"""The TLS that the top-level options choose, for the command that follows them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing it imports gRPC
    from gostream_client.tls import Tls

#: None: plaintext.
chosen: ContextVar[Tls | None] = ContextVar("chosen", default=None)
