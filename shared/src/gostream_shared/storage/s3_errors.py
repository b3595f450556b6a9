"""What the S3 driver raises, in words for the operator, and what of it no waiting can mend."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError, SSLError
from botocore.httpsession import mask_proxy_url
from botocore.utils import get_environ_proxies

#: Codes that say that our keys, our bucket or our region are wrong. AccessDenied is one of them: without
#: s3:ListBucket a store answers so for every object that does not exist, and no upload can be told from none.
_REFUSALS = frozenset(
    {
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "NoSuchBucket",
        "PermanentRedirect",
        "SignatureDoesNotMatch",
    }
)


def kind_of(error: Exception) -> str:
    """S3's code, or the class of the driver's error."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__


def cause_of(error: Exception, timeout: float) -> str:
    """One line that names the code or the class, the status and the operation; never a key's secret."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        return f"{error.operation_name}: {kind_of(error)} (HTTP {status})"
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout:.0f} s"
    below = getattr(error, "kwargs", {}).get("error")  # what botocore's own text leaves out
    return f"{type(error).__name__}: {error}".splitlines()[0] + (f" ({below})" if below else "")


def is_refusal(error: Exception) -> bool:
    """Whether the store refuses us as we are configured."""
    if isinstance(error, ClientError):
        return kind_of(error) in _REFUSALS
    return isinstance(error, (NoCredentialsError, PartialCredentialsError, SSLError))


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine: no proxy is asked for that."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def store_name(endpoint: str | None, bucket: str) -> str:
    """The store as the operator knows it, with the proxy on the way to it."""
    url = endpoint or "https://s3.amazonaws.com"
    proxies = {} if is_loopback(url) else get_environ_proxies(url)
    proxy = proxies.get(urlsplit(url).scheme)
    return f"{url}/{bucket}" + (f" through the proxy {mask_proxy_url(proxy)}" if proxy else "")
