"""Configuration from the environment."""

from datetime import timedelta
from pathlib import Path

import pytest

from gostream_shared.config import Config, ConfigError, describe, load
from gostream_shared.config_names import doubtful

GIVEN = {"DATABASE_URL": "postgresql://app@localhost/app"}


def test_defaults_match_the_documentation() -> None:
    config = load(Config, GIVEN)

    assert (config.redis_host, config.redis_port, config.redis_db) == ("localhost", 6379, 0)
    assert config.redis_ttl == timedelta(minutes=5)
    assert config.cdn_base_url == "http://localhost:8081"
    assert config.s3_bucket == "videos"


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("90s", 90), ("1h30m", 5400), ("0.5s", 0.5), ("2h", 7200)]
)
def test_durations_accept_common_units(text: str, seconds: float) -> None:
    assert load(Config, {**GIVEN, "REDIS_TTL": text}).redis_ttl == timedelta(seconds=seconds)


def test_all_errors_are_reported_with_their_variables() -> None:
    wrong = {"REDIS_PORT": "99999", "REDIS_TTL": "soon", "CDN_BASE_URL": "ftp://x", "LOG_LEVEL": "LOUD"}

    with pytest.raises(ConfigError) as error:
        load(Config, wrong)

    named = [line.split(":")[0] for line in str(error.value).splitlines()]
    assert sorted(named) == ["CDN_BASE_URL", "DATABASE_URL", "LOG_LEVEL", "REDIS_PORT", "REDIS_TTL"]
    assert "DATABASE_URL: is not set" in str(error.value)


def test_secret_is_read_from_a_file_and_hidden(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")

    config = load(Config, {**GIVEN, "METRICS_HOST": "::1", "REDIS_PASSWORD_FILE": str(secret)})

    assert config.redis_password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(config)


def test_unreadable_secret_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"REDIS_PASSWORD_FILE: cannot read /nowhere"):
        load(Config, {**GIVEN, "REDIS_PASSWORD_FILE": "/nowhere"})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000, b"a\nb"])
def test_unreadable_file_hides_no_other_error(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)

    with pytest.raises(ConfigError) as error:
        load(Config, {"REDIS_PASSWORD_FILE": str(secret), "REDIS_DB": "-1"})

    named = sorted(line.split(":")[0] for line in str(error.value).splitlines())
    assert named == ["DATABASE_URL", "REDIS_DB", "REDIS_PASSWORD_FILE"]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("REDIS_HOST", "redis://127.0.0.1", "without a scheme"),
        ("REDIS_HOST", "cache:6379", "port is a separate variable"),
        ("REDIS_HOST", "999.1.1.1", "host name or an address"),
        ("REDIS_PORT", "tcp://10.0.0.5:6379", "Kubernetes"),
        ("REDIS_PORT", "0", "between 1 and 65535"),
        ("REDIS_TTL", "0s", "between 0.1s and 168h"),
        ("REDIS_TTL", "99999999999999h", "a shorter duration"),
        ("S3_BUCKET", "Not A Bucket/..", "a bucket name"),
        ("S3_ENDPOINT_URL", "http://store:99999", "port between 1 and 65535"),
        ("S3_ENDPOINT_URL", "http://key:secret@store", "without user"),
        ("CDN_BASE_URL", "http://cdn/?x=1", "without user, query and fragment"),
        ("S3_ACCESS_KEY", "key", "must be set if S3_ACCESS_KEY is"),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
        ("DATABASE_URL", "postgresql://a:p@localhost:abc/x", "port between 1 and 65535"),
        ("DATABASE_URL", "localhost:5432/x", "must be a URL, postgresql://"),
        ("DATABASE_URL", "postgresql://a:p@ss@localhost/x", "percent-encoded"),
        ("DATABASE_URL", "postgresql://a:p@localhost/x?sslmode=on", "sslmode"),
        ("DATABASE_DIRECT_URL", "postgresql://a:p@ss@localhost/x", "percent-encoded"),
        ("DATABASE_POOLED", "yes", "needs DATABASE_DIRECT_URL"),
    ],
)
def test_unusable_value_is_refused(variable: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as error:
        load(Config, {**GIVEN, variable: value})

    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("host", ["::", "[::]", "::1", "redis_1", "redis.default.svc.", "10.0.0.7"])
def test_hosts_of_every_form_are_accepted(host: str) -> None:
    assert load(Config, {**GIVEN, "METRICS_HOST": host}).metrics_host == host.strip("[]")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://localhost",
        "postgresql://a:p%40ss@[::1]:5432/x?sslmode=require",
        "postgresql:///x?host=/var/run/postgresql",
        "postgresql://one:5432,two:5433/x",
    ],
)
def test_database_urls_of_every_form_are_accepted(url: str) -> None:
    assert load(Config, {"DATABASE_URL": url, "METRICS_HOST": "::1"}).database_url.get_secret_value() == url


def test_keywords_are_accepted_in_any_case() -> None:
    config = load(Config, {**GIVEN, "LOG_LEVEL": "debug", "LOG_FORMAT": "JSON"})

    assert (config.log_level, config.log_format) == ("DEBUG", "json")


def test_misspelt_variables_are_named_with_the_nearest() -> None:
    doubts = doubtful(
        {"REDIS_PASWORD": "x", "S3_ENDPOINT": "x", "AUDIT_ZZZZZZZZZ": "1", "LOG_LEVL_FILE": "x"}
    )

    assert doubts == [
        "AUDIT_ZZZZZZZZZ is not a variable of GoStream",
        "LOG_LEVL_FILE is not a variable of GoStream; did you mean LOG_LEVEL_FILE?",
        "REDIS_PASWORD is not a variable of GoStream; did you mean REDIS_PASSWORD?",
        "S3_ENDPOINT is not a variable of GoStream; did you mean S3_ENDPOINT_URL?",
    ]


def test_ignored_file_variable_is_named() -> None:
    assert doubtful({"REDIS_PASSWORD": "x", "REDIS_PASSWORD_FILE": "/x"}) == [
        "REDIS_PASSWORD_FILE is not read, because REDIS_PASSWORD is set"
    ]


def test_unrelated_variables_are_not_named() -> None:
    kubernetes = {"REDIS_SERVICE_HOST": "10.0.0.5", "REDIS_SERVICE_PORT_TLS": "6379", "S3_PORT": "tcp://1:9"}
    kubernetes |= {"REDIS_PORT_6379_TCP": "tcp://10.0.0.5:6379", "REDIS_PORT_6379_TCP_ADDR": "10.0.0.5"}

    assert doubtful(kubernetes | {"PATH": "/bin", "API_KEY": "x", "LOG_DIR": "/x", "WORK_DIR": "/x"}) == []


def test_empty_variable_counts_as_unset() -> None:
    assert load(Config, {**GIVEN, "REDIS_HOST": ""}).redis_host == "localhost"


def test_help_lists_every_variable() -> None:
    text = describe(Config)

    assert all(name.upper() in text for name in Config.model_fields)
    assert "REDIS_TTL" in text
    assert "lifetime of a cached video in Redis (5m)" in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_PASSWORD", "gostream"),
        ("REDIS_PASSWORD", "Gostream-in-production-2026"),
        ("REDIS_PASSWORD", "fifteen-bytes-x"),
        ("DATABASE_URL", "postgresql://app:gostream@localhost/app"),
        ("DATABASE_DIRECT_URL", "postgresql://app:gostream@localhost/app"),
    ],
)
def test_weak_secret_needs_loopback(variable: str, value: str) -> None:
    given = {**GIVEN, variable: value}
    reason = f"{variable}: must be a random secret of at least 16 bytes, because METRICS_HOST=0.0.0.0 is not"

    load(Config, given)
    with pytest.raises(ConfigError, match=reason) as error:
        load(Config, {**given, "METRICS_HOST": "0.0.0.0"})  # noqa: S104 - what is refused
    assert value not in str(error.value)


def test_published_address_decides_about_secrets() -> None:
    given = {**GIVEN, "REDIS_PASSWORD": "gostream"}

    load(Config, {**given, "METRICS_HOST": "::", "GOSTREAM_BIND": "127.0.0.1"})
    with pytest.raises(ConfigError, match=r"GOSTREAM_BIND=10\.0\.0\.7 is not loopback"):
        load(Config, {**given, "METRICS_HOST": "127.0.0.1", "GOSTREAM_BIND": "10.0.0.7"})


def test_strong_secrets_and_none_serve_any_address() -> None:
    secret = "0123456789abcdef"

    load(Config, GIVEN)
    load(Config, {"DATABASE_URL": f"postgresql://app:{secret}@localhost/app", "REDIS_PASSWORD": secret})


def test_path_with_line_breaks_stays_in_one_line() -> None:
    with pytest.raises(ConfigError) as error:
        load(Config, {**GIVEN, "REDIS_CA_FILE": "\n/missing\n/"})

    assert str(error.value).splitlines() == [
        "REDIS_CA_FILE: cannot read  /missing : No such file or directory"
    ]
