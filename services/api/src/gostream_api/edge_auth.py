"""Prints what Envoy needs to refuse JSON and gRPC-Web without a good token.

Run it with `python -m gostream_api.edge_auth ISSUERS_FILE`. Each line is the name of a list in
deploy/envoy/envoy.yaml and an element for it, as JSON. Envoy refuses early; the API verifies every token
again, and is the only one that reads scopes.
"""

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gostream_api.auth.issuers import Issuer, load_issuers
from gostream_api.rpc.errors import CHALLENGE, CHALLENGE_NAME, DETAILS, failure_of
from gostream_api.rpc.json.bodies import HTTP_STATUSES, failure_body
from gostream_shared.domain.errors import GoStreamError, MisconfiguredError, UnauthenticatedError

_TYPE = "type.googleapis.com/envoy.extensions"
_FILTER = f"{_TYPE}.filters.http.jwt_authn.v3.JwtAuthentication"
_TLS = f"{_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"
_CEL = f"{_TYPE}.access_loggers.filters.cel.v3.ExpressionFilter"
_DENIED = "response.code_details.startsWith('jwt_authn_access_denied')"
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
#: The largest AUTH_JWT_LEEWAY: the API decides.
_SKEW = 300
_TIMEOUT = "5s"
_REFRESH = "300s"

Part = dict[str, Any]


def parts(issuers: Sequence[Issuer]) -> Iterator[tuple[str, Part]]:
    """Returns elements and the names of their lists. Raises MisconfiguredError for unreadable keys."""
    yield from (("mappers", each) for each in _refusals())
    yield "filters", {"name": "envoy.filters.http.jwt_authn", "typed_config": _filter(issuers)}
    yield from (("clusters", _cluster(each, each.jwks_url)) for each in issuers if each.jwks_url)


def _filter(issuers: Sequence[Issuer]) -> Part:
    names: list[Part] = [{"provider_name": issuer.alias} for issuer in issuers]
    needed = {"requires_any": {"requirements": names}} if len(names) > 1 else names[0]
    return {
        "@type": _FILTER,
        "providers": {issuer.alias: _provider(issuer) for issuer in issuers},
        "rules": [{"match": {"prefix": "/"}, "requires": needed}],
        "bypass_cors_preflight": True,
    }


def _provider(issuer: Issuer) -> Part:
    return {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        "forward": True,
        "clock_skew_seconds": _SKEW,
        # Otherwise the query parameter access_token counts too.
        "from_headers": [
            {"name": "authorization", "value_prefix": f"{scheme} "} for scheme in ("Bearer", "bearer")
        ],
        **_keys(issuer),
    }


def _keys(issuer: Issuer) -> Part:
    if issuer.jwks_url:
        uri = {"uri": issuer.jwks_url, "cluster": _name(issuer), "timeout": _TIMEOUT}
        # The listener waits for the first fetch, but not for its success.
        return {"remote_jwks": {"http_uri": uri, "cache_duration": _REFRESH, "async_fetch": {}}}
    try:
        # Envoy does not read a local file again: it gets the keys of now.
        return {"local_jwks": {"inline_string": Path(issuer.jwks_file or "").read_text()}}
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(f"the keys of {issuer.alias} cannot be read: {error}") from None


def _name(issuer: Issuer) -> str:
    return f"jwks-{issuer.alias}"


def _cluster(issuer: Issuer, url: str) -> Part:
    address = urlsplit(url)
    is_tls, host = address.scheme == "https", address.hostname or ""
    port = address.port or (443 if is_tls else 80)
    endpoint = {"address": {"socket_address": {"address": host, "port_value": port}}}
    cluster = {
        "name": _name(issuer),
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": _TIMEOUT,
        "load_assignment": {
            "cluster_name": _name(issuer),
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
    }
    return {**cluster, "transport_socket": _tls(host)} if is_tls else cluster


def _tls(host: str) -> Part:
    trust = {
        "trusted_ca": {"filename": _AUTHORITIES},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
    }
    config = {"@type": _TLS, "sni": host, "common_tls_context": {"validation_context": trust}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _refusals() -> Iterator[Part]:
    """Returns what turns the filter's refusals into the API's.

    A wrong audience, for which Envoy answers 403, becomes a 401 too.
    """
    failure = failure_of(UnauthenticatedError(""), request_id="")
    refused = {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {"@type": _CEL, "expression": _DENIED},
        }
    }
    web = {
        "header_filter": {
            "header": {"name": "content-type", "string_match": {"prefix": "application/grpc-web"}}
        }
    }
    details = next(value for name, value in failure.trailers if name == DETAILS and isinstance(value, bytes))
    status = {
        "grpc-status": str(failure.code.value[0]),
        "grpc-message": failure.message,
        DETAILS: base64.b64encode(details).decode().rstrip("="),
    }
    body = {
        "text_format_source": {"inline_string": failure_body(failure).decode()},
        "content_type": "application/json",
    }
    for matched, headers in (({"and_filter": {"filters": [refused, web]}}, status), (refused, {})):
        yield {
            "filter": matched,
            "status_code": HTTP_STATUSES[failure.code],
            "headers_to_add": [
                {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                # Envoy's own challenge repeats the URL.
                for key, value in {CHALLENGE_NAME: CHALLENGE, **headers}.items()
            ],
            "body_format_override": body,
        }


def main() -> None:
    """Prints the parts. Ends with exit code 2 and a sentence for an unusable file."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m gostream_api.edge_auth ISSUERS_FILE")
    try:
        lines = [f"{name} {json.dumps(part)}" for name, part in parts(load_issuers(Path(sys.argv[1])))]
    except GoStreamError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
