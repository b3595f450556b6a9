"""What both clients have in common: their settings, and the translation of calls."""

from time import monotonic
from typing import Any, ClassVar, Generic, TypeVar

from gostream_client.connection.channel import Dial, dial
from gostream_client.connection.tls import Tls
from gostream_client.connection.token import AsyncTokens, BlockingTokens, Token
from gostream_client.errors import GoStreamError, InvalidInputError
from gostream_client.rpc_errors import from_rpc
from gostream_client.table import Call, Kind, Method

Channel = TypeVar("Channel")


class ClientBase(Generic[Channel]):
    """The settings and the channel of a client."""

    #: The class of the tokens.
    _TOKENS: ClassVar[type[AsyncTokens | BlockingTokens]]
    _HAS_NEAR_CACHE: ClassVar[bool] = False

    def __init__(
        self,
        server: str,
        *,
        timeout: float | None = None,
        token: Token | None = None,
        tls: Tls | None = None,
        allow_plaintext_token: bool = False,
        channel: Channel | None = None,
        near_cache: int = 0,
    ) -> None:
        """`server`: "host:port", or several separated by commas, which are used in rotation.

        `timeout`: the deadline in seconds of every call, instead of the default of each. `token`: a token, a
        file (Path) that is read again when it changes, or a function, asynchronous or not, that is called for
        the first token and again after the server rejected one. `tls`: connect by TLS.
        `allow_plaintext_token`: send the token without TLS to other machines too. `channel`: the caller's own
        channel, which the caller closes; `tls` is not used then. `near_cache`: get_video() of AsyncClient
        keeps up to that many videos in memory, which events keep right; Client raises InvalidInputError.
        """
        if near_cache < 0 or (near_cache and not self._HAS_NEAR_CACHE):
            raise InvalidInputError("near_cache is a number of videos, and for AsyncClient only")
        self._near_size = near_cache
        self.server = server
        self._timeout = timeout
        self._has_token = bool(token)
        self._tokens: Any = self._TOKENS(token)
        self._tls = tls
        self._allow_plaintext_token = allow_plaintext_token
        self._channel = channel
        self._owns_channel = channel is None
        self._proxy = ""
        self._stubs: dict[str, Any] = {}

    def _dial(self) -> Dial:
        """Blocks for up to some seconds. Raises InvalidInputError and UnreachableError."""
        found = dial(self.server, self._tls, secret=self._has_token and not self._allow_plaintext_token)
        self._proxy = found.proxy
        return found

    def _stub(self, method: Method) -> Any:
        """Returns the callable of the channel for a method. Raises RuntimeError if the client is not open."""
        if (known := self._stubs.get(method.path)) is not None:
            return known
        channel: Any = self._channel
        if channel is None:
            raise RuntimeError("the client is not open: use it in a `with` statement, or call open()")
        make = channel.unary_stream if method.kind is Kind.STREAM else channel.unary_unary
        self._stubs[method.path] = stub = make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        return stub

    def _until(self, call: Call[Any]) -> float:
        """Returns the deadline of a call that begins now, by the monotonic clock."""
        seconds = next(s for s in (call.timeout, self._timeout, call.method.deadline) if s is not None)
        return monotonic() + seconds

    def _failure(self, error: Any) -> GoStreamError:
        return from_rpc(error, self.server, proxy=self._proxy)

    def _forget_channel(self) -> Channel | None:
        """Returns the channel to close: None if it is the caller's, or closed already."""
        if not self._owns_channel:
            return None
        channel, self._channel = self._channel, None
        self._stubs.clear()
        return channel


def remaining(until: float) -> float:
    """Returns the seconds until a time of the monotonic clock, at least 0."""
    return max(0.0, until - monotonic())
