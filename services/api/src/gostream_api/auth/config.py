"""The variables of authentication."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from gostream_api.auth.algorithms import ALGORITHMS, names
from gostream_shared.config import Config
from gostream_shared.config_types import Duration


class AuthConfig(Config):
    """How callers prove who they are; see docs/how-to/authenticate.md."""

    auth_mode: Literal["none", "jwt", "mtls", "jwt+mtls"] = Field(
        "none", description="how callers authenticate: none (loopback only), jwt, mtls, jwt+mtls"
    )
    auth_allow_insecure: Literal["", "I-know"] = Field(
        "", description="I-know: AUTH_MODE=none may serve other interfaces than loopback"
    )
    auth_jwt_issuers_file: str | None = Field(
        None, description="YAML list of the issuers of tokens", validate_default=True
    )
    auth_jwt_algorithms: str = Field(
        "EdDSA,ES256,RS256", description="signature algorithms that any issuer may use"
    )
    auth_jwt_leeway: Duration = Field(
        timedelta(seconds=30),
        ge=timedelta(0),
        le=timedelta(minutes=5),
        description="accepted difference between the clocks of issuers and of this server",
    )
    auth_jwt_max_lifetime: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=366),
        description="longest validity of a token; longer-lived tokens are refused",
    )
    auth_jwt_service_claim: str = Field(
        "", description="claim=value of tokens that belong to services, for example gty=client-credentials"
    )
    auth_jwks_refresh: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=24),
        description="time between two fetches of an issuer's keys by URL",
    )
    auth_jwks_max_age: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(seconds=1),
        le=timedelta(days=30),
        description="how long the last keys are used while an issuer does not answer",
    )
    auth_jwks_cache_file: str | None = Field(
        None, description="file that keeps fetched keys for the next start; unset = none"
    )
    auth_token_cache: int = Field(
        10_000, ge=1, le=1_000_000, description="maximum number of verified tokens in memory"
    )
    auth_mtls_grants_file: str | None = Field(
        None, description="YAML list of the scopes of SPIFFE ids", validate_default=True
    )

    @field_validator("auth_mode")
    @classmethod
    def _needs_tls(cls, mode: str, info: ValidationInfo) -> str:
        # An invalid authority is absent here, and has its own message.
        if "mtls" in mode and info.data.get("tls_client_ca_file", ...) is None:
            raise ValueError("mtls requires TLS_CERT_FILE, TLS_KEY_FILE and TLS_CLIENT_CA_FILE")
        return mode

    @field_validator("auth_jwt_issuers_file")
    @classmethod
    def _issuers_of_jwt(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is None and "jwt" in info.data.get("auth_mode", ""):
            raise ValueError("must be set if AUTH_MODE contains jwt")
        return path

    @field_validator("auth_mtls_grants_file")
    @classmethod
    def _grants_of_mtls(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is None and info.data.get("auth_mode") == "mtls":
            raise ValueError("must be set if AUTH_MODE is mtls")
        return path

    @field_validator("auth_jwt_algorithms")
    @classmethod
    def _known_algorithms(cls, text: str) -> str:
        if not names(text) or names(text) - ALGORITHMS.keys():
            raise ValueError(f"must be a comma-separated list of {', '.join(sorted(ALGORITHMS))}")
        return text

    @field_validator("auth_jwt_service_claim")
    @classmethod
    def _claim_and_value(cls, text: str) -> str:
        name, _, value = text.partition("=")
        if text and not (name and value):
            raise ValueError("must have the form claim=value")
        return text
