"""What a channel is made of: target, options and credentials."""

from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address

import grpc

from gostream_client.connection.proxy import proxy_variable
from gostream_client.connection.target import dial_target, lookup, split_servers
from gostream_client.connection.tls import Tls
from gostream_client.errors import PlaintextTokenError

Options = tuple[tuple[str, str | int], ...]

OPTIONS: Options = (
    ("grpc.service_config", files("gostream_client").joinpath("service_config.json").read_text()),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 1),
    # A frozen replica answers no ping, so its connection is closed after 5 s + 3 s. The API accepts a ping
    # every 4 s. Current gRPC cores use the second timeout, a minute by default; older cores use the first.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # no limit: a watch sends nothing after its request
    # A server that returns is used within 2 s. The default lets attempts rise to one in two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, slots=True)
class Dial:
    """What a channel is made of. `credentials`: None for plaintext. `proxy`: the variable of the proxy in
    use.
    """

    target: str
    options: Options
    credentials: grpc.ChannelCredentials | None
    proxy: str


def dial(server: str, tls: Tls | None, *, secret: bool) -> Dial:
    """Resolves names and reads files, within RESOLVE_SECONDS for each purpose.

    With `tls`, the server's certificate must name the host; of several servers, the host of the first one.
    `secret`: calls carry a token that must not reach another machine in plaintext. Raises InvalidInputError
    if it would.
    """
    target = dial_target(server)
    proxy = proxy_variable(server)
    if secret and tls is None:
        _check_loopback(server, proxy)
    options = (*OPTIONS, ("grpc.enable_http_proxy", int(bool(proxy))))
    [(host, _), *others] = split_servers(server)
    if tls and others:  # dialled by their addresses, which are not in certificates
        options = (*options, ("grpc.ssl_target_name_override", host))
    return Dial(target, options, tls.credentials() if tls else None, proxy)


def _check_loopback(server: str, proxy: str) -> None:
    addresses = [address for found in lookup(split_servers(server)) for _, address in found]
    if proxy or not all(ip_address(address.partition("%")[0]).is_loopback for address in addresses):
        raise PlaintextTokenError(f"the token would reach {server} in plaintext")
