"""Finds set variables that look like GoStream's but are not read, so that a misspelt name is reported."""

import difflib
import re
from collections.abc import Mapping

#: Every variable of every service and client; one environment may configure several of them.
KNOWN = frozenset(
    """
    ADMIN_HOST ADMIN_PORT API_HOST API_PORT API_PROCESSES AUDIT_TOLERANCE AUTH_ALLOW_INSECURE
    AUTH_JWKS_CACHE_FILE AUTH_JWKS_MAX_AGE AUTH_JWKS_REFRESH AUTH_JWT_ALGORITHMS AUTH_JWT_ISSUERS_FILE
    AUTH_JWT_LEEWAY AUTH_JWT_MAX_LIFETIME AUTH_JWT_SERVICE_CLAIM AUTH_MODE AUTH_MTLS_GRANTS_FILE
    AUTH_TOKEN_CACHE CDN_BASE_URL CDN_REFRESH_SECRET CDN_REFRESH_URL CHUNK_WINDOW DATABASE_DIRECT_URL
    DATABASE_POOLED DATABASE_POOL_SIZE DATABASE_URL DELETE_RETENTION ENCODER_MEMORY_BYTES EVENT_RETENTION
    FFMPEG_PATH GOSTREAM_API_ADDR GOSTREAM_BIND GOSTREAM_CA_FILE GOSTREAM_CLIENT_CERT GOSTREAM_CLIENT_KEY
    GOSTREAM_TOKEN JOB_LEASE L1_BYTES LOG_FORMAT LOG_LEVEL MAX_CONCURRENT_RPCS MAX_WATCHES METRICS_HOST
    METRICS_PORT OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_PROTOCOL OTEL_SDK_DISABLED
    OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG OUTAGE_PATIENCE PLAYBACK_KEYS PLAYBACK_TOKEN_TTL PREVIEWS
    QUEUE_LIMIT QUEUE_LIMIT_PER_OWNER QUOTA_ENCODES QUOTA_STORED_BYTES QUOTA_VIDEOS QUOTA_WEBHOOKS
    RATE_CREATES RATE_READS RATE_WRITES READ_DOOR_SHORT READ_PORT REDIS_CA_FILE REDIS_DB REDIS_HOST
    REDIS_PASSWORD REDIS_PORT REDIS_SENTINEL_PASSWORD REDIS_SENTINEL_USERNAME REDIS_TLS REDIS_TTL REDIS_URL
    REDIS_USERNAME REFLECTION S3_ACCESS_KEY S3_BUCKET S3_CA_FILE S3_CHECKSUMS S3_ENDPOINT_URL
    S3_PUBLIC_ENDPOINT_URL S3_REGION S3_SECRET_KEY SANDBOX SCHEDULING SHUTDOWN_DELAY SHUTDOWN_GRACE
    SOURCE_FETCH_SLOTS SOURCE_FETCH_TIMEOUT SOURCE_KEY_PREFIXES SOURCE_MAX_BYTES SOURCE_MAX_COPIED_BYTES
    SOURCE_MAX_DURATION SOURCE_MAX_PIXEL_RATE SOURCE_URL_ALLOW SOURCE_URL_HTTP TLS_CERT_FILE
    TLS_CLIENT_CA_FILE TLS_KEY_FILE TRAIL_RETENTION TRUSTED_PROXIES UPLOAD_PART_TTL UPLOAD_PATIENCE
    UPLOAD_SIZE_REQUIRED UPLOAD_TTL UPLOAD_URL_TTL WATCHES_PER_CLIENT WATCHES_PER_PRINCIPAL WEBHOOK_SLOTS
    WEBHOOK_URL_ALLOW WEBHOOK_URL_HTTP WORKER_HOST WORKER_PORT WORKER_SLOTS WORK_DIR WORK_DIR_RESERVE
    """.split()  # noqa: SIM905 - a page of quotation marks
)
#: A name with one of these prefixes is meant for GoStream.
_OURS = (
    "AUDIT_",
    "AUTH_",
    "CDN_",
    "DATABASE_",
    "DELETE_",
    "ENCODER_",
    "OUTAGE_",
    "PLAYBACK_",
    "REDIS_",
    "S3_",
    "TLS_",
    "UPLOAD_",
    "WEBHOOK_",
    "WORK_DIR_",
)
#: A name with this prefix is not reported.
_OTHERS = "OTEL_"
#: Other names are reported only if they are this similar to a known name (difflib's ratio).
_NEAR = 0.85
_KUBERNETES = re.compile(r".*_SERVICE_(HOST|PORT(_.*)?)|.*_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")


def doubtful(environment: Mapping[str, str]) -> list[str]:
    """Returns one sentence for each variable that is set but not read."""
    return [sentence for name in sorted(environment) if (sentence := _doubt(name, environment))]


def _doubt(name: str, environment: Mapping[str, str]) -> str | None:
    plain = name.removesuffix("_FILE")
    if plain in KNOWN or name in KNOWN:
        both = name != plain and environment[name] and environment.get(plain)
        return f"{name} is not read, because {plain} is set" if both else None
    if name.startswith(_OTHERS):
        return None  # OpenTelemetry's SDK reads many more
    if _KUBERNETES.fullmatch(name) or re.match(r"(tcp|udp|sctp)://", environment[name]):
        return None  # Kubernetes sets these for every Service of the namespace
    close = difflib.get_close_matches(plain, KNOWN, n=1, cutoff=0.6 if plain.startswith(_OURS) else _NEAR)
    if not close and not plain.startswith(_OURS):
        return None
    hint = f"; did you mean {close[0]}{name[len(plain) :]}?" if close else ""
    return f"{name} is not a variable of GoStream{hint}"
