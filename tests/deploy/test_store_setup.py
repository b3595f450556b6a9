"""Compose's setup before the services start: object store keys and the secret check."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API, WORKER = "gostream-api", "gostream-worker"
KEYS = {
    "S3_ENDPOINT_URL": "http://minio:9000",
    "MINIO_ROOT_USER": "gostream-admin",
    "MINIO_ROOT_PASSWORD": "gostream-admin",
    "S3_ACCESS_KEY": "gostream",
    "S3_SECRET_KEY": "gostream-secret",
    "S3_WORKER_ACCESS_KEY": "gostream-worker",
    "S3_WORKER_SECRET_KEY": "gostream-worker-secret",
    "EDGE_ORIGIN_SECRET": "gostream-edge",
}
#: Imitates mc RELEASE.2025-08-13 for the commands of init.sh; keeps its state in $MC_STATE.
STAND_IN = r"""#!/usr/bin/env python3
import json, os, sys
from pathlib import Path

path = Path(os.environ["MC_STATE"])
state = json.loads(path.read_text()) if path.exists() else {"users": {}, "policies": {}, "buckets": []}
args = sys.argv[1:]

def fail(text):
    print(f"mc: <ERROR> {text}", file=sys.stderr)
    sys.exit(1)

def change(attach, policy, user):
    if user not in state["users"]:
        fail("Unable to make user/group policy association. The specified user does not exist.")
    if policy not in state["policies"]:
        fail("Unable to make user/group policy association. The canned policy does not exist.")
    attached = state["users"][user]["policies"]
    if (policy in attached) is attach:
        fail("Unable to make policy association. The specified policy change is already in effect.")
    (attached.append if attach else attached.remove)(policy)
    print(f"{'Attached' if attach else 'Detached'} Policies: [{policy}]\nTo User: {user}")

match args:
    case ["alias", "set", alias, url, key, secret]:
        print(f"Added `{alias}` successfully.")
    case ["mb", "--ignore-existing", bucket]:
        state["buckets"].append(bucket)
        print(f"Bucket created successfully `{bucket}`.")
    case ["anonymous", "set-json", file, bucket]:
        state["anonymous"] = json.loads(Path(file).read_text())
        print(f"Access permission for `{bucket}` is set from `{file}`")
    case ["admin", "policy", "create", alias, name, file]:
        state["policies"][name] = json.loads(Path(file).read_text())
        print(f"Created policy `{name}` successfully.")
    case ["admin", "user", "add", alias, key, secret]:
        if len(secret) < 8:
            fail("Unable to add new user. The secret key is invalid.")
        state["users"].setdefault(key, {"policies": []})["secret"] = secret
        print(f"Added user `{key}` successfully.")
    case ["admin", "user", "info", alias, key]:
        if key not in state["users"]:
            fail("Unable to get user info. The specified user does not exist.")
        policies = ",".join(state["users"][key]["policies"])
        print(f"AccessKey: {key}\nStatus: enabled\nPolicyName: {policies}\nMemberOf: []")
    case ["admin", "policy", ("attach" | "detach") as verb, alias, policy, "--user", user]:
        if not (verb == "attach" and os.environ.get("MC_ATTACHES_NOTHING")):
            change(verb == "attach", policy, user)
    case _:
        fail(f"`{args}` is not a recognized command.")
path.write_text(json.dumps(state))
"""


class Store:
    """MinIO's state as the client `mc` reports it."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._path = folder / "bin"
        self._path.mkdir()
        client = self._path / "mc"
        client.write_text(STAND_IN)
        client.chmod(0o755)

    def set_up(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """Runs init.sh as Compose does."""
        path = f"{self._path}:{os.environ['PATH']}"
        environment = {**KEYS, **changes, "MC_STATE": str(self._state), "PATH": path}
        environment["TMPDIR"] = str(self._state.parent)
        command = ["sh", str(ROOT / "deploy/s3/init.sh")]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def policies(self, key: str) -> list[str]:
        """The names of the key's policies."""
        return list(json.loads(self._state.read_text())["users"][key]["policies"])

    def anonymous(self) -> str:
        """The bucket's policy."""
        return json.dumps(json.loads(self._state.read_text())["anonymous"])

    def attach(self, key: str, policy: str) -> None:
        """Attaches a policy that init.sh does not."""
        state = json.loads(self._state.read_text())
        state["policies"][policy] = {}
        state["users"][key]["policies"].append(policy)
        self._state.write_text(json.dumps(state))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


# The first three names occur in the client's output or in policy names.
@pytest.mark.parametrize("key", ["gostream", "gostream-api", "gostream-worker-2", "another"])
def test_each_key_gets_its_policy(store: Store, key: str) -> None:
    done = store.set_up(S3_ACCESS_KEY=key)

    assert done.returncode == 0, done.stderr
    assert (store.policies(key), store.policies("gostream-worker")) == ([API], [WORKER])


def test_bucket_is_readable_with_the_edge_secret(store: Store) -> None:
    assert store.set_up(EDGE_ORIGIN_SECRET="a-secret").returncode == 0

    assert '{"StringEquals": {"aws:Referer": "a-secret"}}' in store.anonymous()


@pytest.mark.parametrize("secret", ["", "a b", 'a"b', "a;b"])
def test_unusable_edge_secret_is_refused(secret: str) -> None:
    assert check(EDGE_ORIGIN_SECRET=secret).stderr.startswith("EDGE_ORIGIN_SECRET: ")


@pytest.mark.slow
def test_second_setup_changes_nothing(store: Store) -> None:
    store.set_up()
    done = store.set_up(S3_SECRET_KEY="another-secret")

    assert (done.returncode, done.stderr) == (0, "")
    assert (store.policies("gostream"), store.policies("gostream-worker")) == ([API], [WORKER])


@pytest.mark.slow
def test_other_policies_are_detached(store: Store) -> None:
    store.set_up()
    store.attach("gostream", "readwrite")
    store.attach("gostream", "gostream")
    done = store.set_up()

    assert (done.returncode, done.stderr) == (0, "")
    assert store.policies("gostream") == [API]


def test_setup_fails_if_a_policy_is_missing(store: Store) -> None:
    done = store.set_up(MC_ATTACHES_NOTHING="1")

    assert done.returncode == 1
    assert "the key gostream has the policies '' instead of 'gostream-api'" in done.stderr


def test_setup_fails_if_the_store_refuses(store: Store) -> None:
    done = store.set_up(S3_WORKER_SECRET_KEY="short")

    assert done.returncode != 0
    assert "secret key is invalid" in done.stderr


DEFAULTS = {
    "GOSTREAM_BIND": "127.0.0.1",
    "POSTGRES_PASSWORD": "gostream",
    "REDIS_PASSWORD": "gostream",
    "MINIO_ROOT_PASSWORD": "gostream-admin",
    "S3_SECRET_KEY": "gostream-secret",
    "S3_WORKER_SECRET_KEY": "gostream-worker-secret",
    "CDN_REFRESH_SECRET": "gostream-refresh",
    "EDGE_ORIGIN_SECRET": "gostream-edge",
    "AUTH_MODE": "none",
}
STRONG = {name: "0123456789abcdef" for name in DEFAULTS if name not in ("GOSTREAM_BIND", "AUTH_MODE")}
SAFE = {**STRONG, "AUTH_MODE": "jwt"}


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    """Runs check.sh as Compose does."""
    command = ["sh", str(ROOT / "deploy/docker/check.sh")]
    return subprocess.run(
        command, env={**DEFAULTS, **changes}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_default_secrets_are_accepted_on_loopback(address: str) -> None:
    assert check(GOSTREAM_BIND=address).returncode == 0


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.1", ""])  # noqa: S104 - what is refused
def test_default_secrets_are_refused_beyond_loopback(address: str) -> None:
    done = check(GOSTREAM_BIND=address)

    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stderr.splitlines()} == {*STRONG, "AUTH_MODE"}


@pytest.mark.parametrize("name", sorted(STRONG))
def test_single_weak_secret_is_refused(name: str) -> None:
    assert check(GOSTREAM_BIND="192.0.2.1", **SAFE).returncode == 0
    done = check(GOSTREAM_BIND="192.0.2.1", **{**SAFE, name: "0123456789abcde"})

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [name]


def test_open_api_is_refused_beyond_loopback() -> None:
    done = check(GOSTREAM_BIND="192.0.2.1", **{**SAFE, "AUTH_MODE": "none"})

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["AUTH_MODE"]


@pytest.mark.parametrize("password", ["a/b", "a@b", "a:b", "a b", "a%b"])
def test_password_unsafe_in_a_url_is_refused(password: str) -> None:
    done = check(POSTGRES_PASSWORD=password)

    assert done.returncode == 1
    assert done.stderr.startswith("POSTGRES_PASSWORD: ")
