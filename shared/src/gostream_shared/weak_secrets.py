"""Finds default and short secrets, which a service refuses if others can reach one of its listeners."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from gostream_shared.config_types import is_loopback

#: Smallest number of bytes of a secret. Guessing 16 random hexadecimal digits takes 2^63 attempts.
SMALLEST = 16
#: The passwords of docker-compose.yml begin with it, and so does what is derived from the product's name.
_DEFAULT = "gostream"


def refusals(secrets: Mapping[str, str], listeners: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables whose secret is too weak for the listeners, each with one sentence.

    `secrets` and `listeners` map variables to values. An empty secret is not checked: it means that no
    secret is used.
    """
    exposed = [f"{name}={host}" for name, host in listeners.items() if not is_loopback(host)]
    if not exposed:
        return {}
    return {
        name: f"must be a random secret of at least {SMALLEST} bytes, because {exposed[0]} is not loopback"
        for name, secret in secrets.items()
        if secret and _is_weak(secret)
    }


def password_of(url: str) -> str:
    """Returns the password of a URL, or an empty text."""
    return unquote(urlsplit(url).password or "")


def _is_weak(secret: str) -> bool:
    return secret.lower().startswith(_DEFAULT) or len(secret.encode()) < SMALLEST
