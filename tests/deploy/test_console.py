"""The edge with and without a console: headers, methods, paths that try to leave its folder, the log."""

import json
import time
from collections.abc import Callable

import pytest

from gostream_devstack.servers.nginx import Console, Nginx
from tests.deploy.edge import ask
from tests.deploy.origin import Origin

API, STORE = "https://api.example.com", "https://s3.example.com"


class WithConsole(Nginx):
    """An edge with a console whose people sign in."""

    def prepare(self) -> None:
        self.console = Console(API, STORE, "https://id.example.com/realms/films", "console")
        super().prepare()


@pytest.fixture
def edge(origin: Origin, make_edge: Callable[..., Nginx]) -> Nginx:
    return make_edge(origin, kind=WithConsole)


def test_policy_names_the_origins_alone(edge: Nginx) -> None:
    answer = ask(edge, "/console/")
    policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert policy["connect-src"].split() == ["'self'", API, STORE, edge.url, "https://id.example.com"]
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == (
        "'none'",
        "'self'",
        "'self'",
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers


def test_configuration_is_json_of_the_origins(edge: Nginx) -> None:
    assert json.loads(ask(edge, "/console/config.json").body) == {
        "api": API,
        "cdn": edge.url,
        "s3": STORE,
        "issuer": "https://id.example.com/realms/films",
        "client_id": "console",
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("console.js", "text/javascript"),
        ("console.css", "text/css"),
        ("vendor/hls.min.mjs", "text/javascript"),
        ("client/gostream-upload.js", "text/javascript"),
        ("client/gostream-md5.js", "text/javascript"),
    ],
)
def test_files_have_policy_and_type(edge: Nginx, path: str, kind: str) -> None:
    answer = ask(edge, f"/console/{path}")

    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/console/../nginx.conf",
        "/console/%2e%2e/%2e%2e/playback.keys",
        "/console/..%2f..%2fnginx.conf",
        "/console../nginx.conf",
        "/console/client../../playback.keys",
        "/console/client/../../playback.keys",
        "/console/vendor/",
        "/console/none.js",
    ],
)
def test_nothing_outside_the_folder_is_served(edge: Nginx, path: str) -> None:
    answer = ask(edge, path)

    assert answer.status in {400, 403, 404}
    assert b"EDGE" not in answer.body


def test_other_methods_are_refused(edge: Nginx) -> None:
    assert ask(edge, "/console/", "POST").status == 405


def test_path_without_slash_leads_to_the_page(edge: Nginx) -> None:
    answer = ask(edge, "/console")

    assert (answer.status, answer.headers["location"]) == (301, "/console/")


def test_code_of_a_login_is_in_no_log(edge: Nginx) -> None:
    ask(edge, "/console/?code=Se-cret&state=x")
    deadline = time.monotonic() + 60
    while '"/console/"' not in edge.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert "Se-cret" not in edge.log.read_text()


@pytest.mark.parametrize("path", ["", "config.json", "client/gostream-upload.js", "console.js"])
def test_edge_without_a_console_has_no_page(
    origin: Origin, make_edge: Callable[..., Nginx], path: str
) -> None:
    assert ask(make_edge(origin), f"/console/{path}").status == 404
