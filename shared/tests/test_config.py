"""Configuration from the environment."""

from datetime import timedelta
from pathlib import Path

import pytest

from gostream_shared.config import Config, ConfigError, describe, load

GIVEN = {"DATABASE_URL": "postgresql://app@localhost/app"}


def test_the_defaults_are_the_documented_ones() -> None:
    config = load(Config, GIVEN)

    assert (config.redis_host, config.redis_port, config.redis_db) == ("localhost", 6379, 0)
    assert config.redis_ttl == timedelta(minutes=5)
    assert config.cdn_base_url == "http://localhost:8081"
    assert config.s3_bucket == "videos"


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("90s", 90), ("1h30m", 5400), ("0.5s", 0.5), ("2h", 7200)]
)
def test_durations_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert load(Config, {**GIVEN, "REDIS_TTL": text}).redis_ttl == timedelta(seconds=seconds)


def test_all_mistakes_are_reported_at_once_by_the_variables_names() -> None:
    wrong = {"REDIS_PORT": "99999", "REDIS_TTL": "soon", "CDN_BASE_URL": "ftp://x", "LOG_LEVEL": "LOUD"}

    with pytest.raises(ConfigError) as error:
        load(Config, wrong)

    named = [line.split(":")[0] for line in str(error.value).splitlines()]
    assert sorted(named) == ["CDN_BASE_URL", "DATABASE_URL", "LOG_LEVEL", "REDIS_PORT", "REDIS_TTL"]
    assert "DATABASE_URL: is not set" in str(error.value)


def test_a_secret_may_come_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")

    config = load(Config, {**GIVEN, "REDIS_PASSWORD_FILE": str(secret)})

    assert config.redis_password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(config)


def test_a_secret_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"REDIS_PASSWORD_FILE: cannot read /nowhere"):
        load(Config, {**GIVEN, "REDIS_PASSWORD_FILE": "/nowhere"})


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(Config, {**GIVEN, "REDIS_HOST": ""}).redis_host == "localhost"


def test_help_lists_every_variable() -> None:
    text = describe(Config)

    assert all(name.upper() in text for name in Config.model_fields)
    assert "REDIS_TTL" in text
    assert "how long a cached video lives in Redis (5m)" in text
