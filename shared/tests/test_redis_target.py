"""REDIS_URL: every form is understood, mistakes are refused, and no message contains the password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_shared.config import Config, ConfigError, load
from gostream_shared.config_names import doubtful
from gostream_shared.redis_target import RedisTarget, Topology, parse_redis_url

GIVEN = {"DATABASE_URL": "postgresql://app@localhost/app"}
SECRET = "p@ss/w:rd?#%"
QUOTED = "p%40ss%2Fw%3Ard%3F%23%25"


def target(topology: Topology, *addresses: tuple[str, int], **others: object) -> RedisTarget:
    return RedisTarget(topology=topology, addresses=addresses, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", target(Topology.SINGLE, ("cache", 6379))),
        ("rediss://cache:6380/3", target(Topology.SINGLE, ("cache", 6380), database=3, tls=True)),
        (
            f"redis://app:{QUOTED}@[::1]:7000",
            target(Topology.SINGLE, ("::1", 7000), username="app", password=SECRET),
        ),
        ("redis://:only@cache", target(Topology.SINGLE, ("cache", 6379), password="only")),
        (
            "redis+sentinel://s1,s2:26380,[fd00::3]/main/2",
            target(
                Topology.SENTINEL,
                ("s1", 26379),
                ("s2", 26380),
                ("fd00::3", 26379),
                service="main",
                database=2,
            ),
        ),
        (
            "rediss+sentinel://a:b@s1:26379/main",
            target(Topology.SENTINEL, ("s1", 26379), service="main", username="a", password="b", tls=True),
        ),
        ("redis+cluster://n1,n2:7001", target(Topology.CLUSTER, ("n1", 6379), ("n2", 7001))),
        ("rediss+cluster://n1/0", target(Topology.CLUSTER, ("n1", 6379), tls=True)),
    ],
)
def test_urls_of_every_form_are_understood(url: str, expected: RedisTarget) -> None:
    assert load(Config, {**GIVEN, "REDIS_URL": url, "METRICS_HOST": "::1"}).redis() == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("cache:6379", "must be redis://"),
        ("http://cache", "must be redis://"),
        ("unix:///run/redis.sock", "must be redis://"),
        ("redis+tls://cache", "must be redis://"),
        ("redis://", "host name or an address"),
        ("redis://a,b", "must name one host"),
        ("redis://cache:0", "port between 1 and 65535"),
        ("redis://cache:65536", "port between 1 and 65535"),
        ("redis://::1", "brackets around IPv6"),
        ("redis://cache/x", "database number"),
        ("redis://cache/0/1", "database number"),
        ("redis://a:p@ss@cache", "percent-encoded"),
        ("redis://a:p/ss@cache", "percent-encoded"),
        ("redis://a:p#ss@cache", r"no \?, # or space"),
        ("rediss://cache?ssl_cert_reqs=none", r"no \?, # or space"),
        ("redis://cache\n", r"no \?, # or space"),
        ("redis+sentinel://s1,s2", "the service"),
        ("redis+sentinel://s1/ma in", r"no \?, # or space"),
        ("redis+sentinel://s1/main/x", "database number"),
        ("redis+cluster://n1/1", "no other"),
        ("redis+cluster://n1,,n2", "host name or an address"),
    ],
)
def test_unusable_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"REDIS_URL: .*{reason}") as error:
        load(Config, {**GIVEN, "REDIS_URL": url})

    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("REDIS_HOST", "localhost", "redis://cache"),
        ("REDIS_PORT", "6379", "redis://cache"),
        ("REDIS_DB", "0", "redis+cluster://cache"),
        ("REDIS_TLS", "true", "rediss://cache"),
        ("REDIS_PASSWORD", "b", "redis://a:b@cache"),
        ("REDIS_USERNAME", "a", "redis://:b@cache"),
    ],
)
def test_setting_that_is_given_twice_is_refused(variable: str, value: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: must not be set, because REDIS_URL says it"):
        load(Config, {**GIVEN, "REDIS_URL": url, variable: value})


def test_login_may_be_beside_the_url() -> None:
    login = {"REDIS_USERNAME": "app", "REDIS_PASSWORD": SECRET, "METRICS_HOST": "::1"}

    found = load(Config, {**GIVEN, **login, "REDIS_URL": "redis+cluster://n1"}).redis()

    assert (found.username, found.password) == ("app", SECRET)


def test_variables_without_a_url_mean_one_server() -> None:
    given_ = {"REDIS_HOST": "cache", "REDIS_PORT": "7", "REDIS_DB": "2", "REDIS_TLS": "true"}

    found = load(Config, {**GIVEN, **given_}).redis()

    assert found == target(Topology.SINGLE, ("cache", 7), database=2, tls=True)


@pytest.mark.parametrize("url", ["", "redis://cache", "redis+cluster://cache"])
def test_password_of_absent_sentinels_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_SENTINEL_PASSWORD: has no effect"):
        load(Config, {**GIVEN, "REDIS_URL": url, "REDIS_SENTINEL_PASSWORD": "x"})


def test_misspelt_name_gets_a_hint() -> None:
    assert doubtful({"REDIS_URI": "redis://cache"}) == [
        "REDIS_URI is not a variable of GoStream; did you mean REDIS_URL?"
    ]


@pytest.mark.parametrize("url", [f"redis://a:{QUOTED}@cache", f"redis+sentinel://:{QUOTED}@s1/main"])
def test_password_is_never_shown(url: str) -> None:
    config = load(Config, {**GIVEN, "REDIS_URL": url, "METRICS_HOST": "::1"})

    shown = f"{config!r} {config} {config.redis()!r} {config.redis()}"
    assert SECRET not in shown
    assert QUOTED not in shown


def test_weak_password_in_the_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="REDIS_URL: must be a random secret") as error:
        load(Config, {**GIVEN, "REDIS_URL": "redis://:sh0rt@cache", "METRICS_HOST": "::"})

    assert "sh0rt" not in str(error.value)


PIECES = st.sampled_from(
    ["redis", "rediss+", "sentinel", "+cluster", "://", "@", ":", ",", "/", "[", "]", "hunter2", "%"]
)


@given(text=st.lists(PIECES, max_size=12).map("".join))
def test_refusal_never_quotes_the_url(text: str) -> None:
    message = ""
    try:
        parse_redis_url(text)
    except ValueError as error:
        message = str(error)
    assert "hunter2" not in message
