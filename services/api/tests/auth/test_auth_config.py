"""The variables of authentication, the file of issuers, and who may serve without authentication."""

from pathlib import Path

import pytest

from gostream_api.auth.issuers import load_issuers
from gostream_api.config import ApiConfig
from gostream_shared.config import ConfigError, load
from gostream_shared.domain.errors import MisconfiguredError

DATABASE = {"DATABASE_URL": "postgresql://a:0123456789abcdef@127.0.0.1/x"}
ISSUER = {"alias": "corp", "issuer": "https://issuer.test", "audiences": "[gostream]"}


def mistake(**variables: str) -> str:
    with pytest.raises(ConfigError) as wrong:
        load(ApiConfig, DATABASE | variables)
    return str(wrong.value)


def test_default_serves_loopback_without_authentication() -> None:
    config = load(ApiConfig, DATABASE)

    assert (config.auth_mode, config.api_host, config.reflects) == ("none", "127.0.0.1", True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "api.example.org"])  # noqa: S104 - what is refused
def test_other_interfaces_require_authentication(host: str) -> None:
    assert mistake(API_HOST=host).startswith("API_HOST: must be a loopback address while AUTH_MODE=none")

    config = load(ApiConfig, DATABASE | {"API_HOST": host, "AUTH_ALLOW_INSECURE": "I-know"})
    assert not config.reflects
    assert load(
        ApiConfig, DATABASE | {"API_HOST": host, "AUTH_MODE": "jwt", "AUTH_JWT_ISSUERS_FILE": "x"}
    ).reflects


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_every_loopback_address_is_accepted(host: str) -> None:
    assert load(ApiConfig, DATABASE | {"API_HOST": host}).reflects


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AUTH_MODE": "jwt"}, "AUTH_JWT_ISSUERS_FILE: must be set"),
        ({"AUTH_MODE": "mtls"}, "AUTH_MODE: mtls requires TLS_CERT_FILE, TLS_KEY_FILE and TLS_CLIENT_CA"),
        ({"AUTH_MODE": "jwt+mtls"}, "AUTH_MODE: mtls requires TLS_CERT_FILE"),
        ({"AUTH_MODE": "basic"}, "AUTH_MODE: "),
        ({"AUTH_ALLOW_INSECURE": "yes"}, "AUTH_ALLOW_INSECURE: "),
        ({"AUTH_JWT_ALGORITHMS": "HS256"}, "AUTH_JWT_ALGORITHMS: must be"),
        ({"AUTH_JWT_ALGORITHMS": "none,ES256"}, "AUTH_JWT_ALGORITHMS: must be"),
        ({"AUTH_JWT_SERVICE_CLAIM": "gty"}, "AUTH_JWT_SERVICE_CLAIM: must have"),
        ({"AUTH_JWT_LEEWAY": "1h"}, "AUTH_JWT_LEEWAY: must be between 0s and 5m"),
    ],
)
def test_wrong_variables_are_named(variables: dict[str, str], sentence: str) -> None:
    assert sentence in mistake(**variables)


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("mtls", "AUTH_MTLS_GRANTS_FILE: must be set if AUTH_MODE is mtls"),
        ("jwt+mtls", "AUTH_JWT_ISSUERS_FILE: must be set if AUTH_MODE contains jwt"),
    ],
)
def test_certificates_need_the_authority_of_clients(tmp_path: Path, mode: str, sentence: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    tls = {"AUTH_MODE": mode, "TLS_CERT_FILE": str(file), "TLS_KEY_FILE": str(file), "READ_PORT": "50052"}

    assert "AUTH_MODE: mtls requires" in mistake(**tls)
    complete = tls | {"TLS_CLIENT_CA_FILE": str(file)}
    assert mistake(**complete) == sentence
    files = {sentence.partition(":")[0]: str(file)}
    assert load(ApiConfig, DATABASE | complete | files).auth_mode == mode


def test_wrong_authority_of_clients_is_one_mistake(tmp_path: Path) -> None:
    absent = {"TLS_CLIENT_CA_FILE": str(tmp_path / "absent"), "AUTH_MTLS_GRANTS_FILE": "x"}
    file = tmp_path / "file"
    file.write_text("")
    pair = {"TLS_CERT_FILE": str(file), "TLS_KEY_FILE": str(file)}

    assert mistake(AUTH_MODE="mtls", **pair, **absent).startswith("TLS_CLIENT_CA_FILE: ")


def written(path: Path, *entries: dict[str, str]) -> Path:
    lines = ["- " + "\n  ".join(f"{name}: {value}" for name, value in entry.items()) for entry in entries]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_issuers_come_from_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "issuers.yaml", ISSUER | {"jwks_file": "keys.json"})

    [issuer] = load_issuers(path)

    assert (issuer.alias, issuer.audiences) == ("corp", ["gostream"])
    assert issuer.jwks_file == str(tmp_path / "keys.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "needs jwks_url or jwks_file"),
        ({"jwks_file": "a", "jwks_url": "https://a.test/"}, "needs jwks_url or jwks_file"),
        ({"jwks_url": "http://issuer.test/jwks"}, "https"),
        ({"jwks_url": "file:///etc/passwd"}, "https"),
        ({"jwks_file": "a", "algorithms": "[HS256]"}, "must be among"),
        ({"jwks_file": "a", "algorithms": "[]"}, "at least 1"),
        ({"jwks_file": "a", "audiences": "[]"}, "at least 1"),
        ({"jwks_file": "a", "alias": "a:b"}, "lower-case"),
        ({"jwks_file": "a", "audience": "x"}, "Extra inputs"),
    ],
)
def test_wrong_issuers_are_refused(tmp_path: Path, change: dict[str, str], sentence: str) -> None:
    with pytest.raises(MisconfiguredError, match=sentence):
        load_issuers(written(tmp_path / "issuers.yaml", ISSUER | change))


def test_missing_doubled_and_empty_issuers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "issuers.yaml"
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        load_issuers(path)
    path.write_text("[]")
    with pytest.raises(MisconfiguredError, match="no issuer"):
        load_issuers(path)
    one = ISSUER | {"jwks_file": "a"}
    with pytest.raises(MisconfiguredError, match="twice"):
        load_issuers(written(path, one, one | {"alias": "other"}))
