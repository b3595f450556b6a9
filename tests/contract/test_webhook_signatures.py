"""Deliveries verify with the official libraries; `make clients` installs that for JavaScript."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gostream_worker.webhooks.signature import signed_headers

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = Path(os.environ.get("GOSTREAM_NODE_CLIENT", ROOT / ".tools/clients/node_modules"))
OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_PlaDHlCpLvXn3eZ9lCJ5bF1ePzHNuv0O"
BODY = '{"type": "video.ready", "data": {"title": "Ünïcödé ✓"}}'.encode()
#: Prints for each secret whether it verifies the delivery.
SCRIPT = """
const { Webhook } = require("standardwebhooks");
const { secrets, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(secrets.map((secret) => {
  try { return new Webhook(secret).verify(body, headers).type; } catch (error) { return error.message; }
})));
"""


def signed(now: datetime | None = None) -> dict[str, str]:
    return signed_headers("event-1", BODY, [NEW, OLD], now=now or datetime.now(UTC))


def test_python_library_accepts_both_secrets() -> None:
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(BODY, signed())["type"] == "video.ready"


@pytest.mark.parametrize(
    ("body", "headers", "secret"),
    [
        (BODY + b" ", signed(), NEW),
        (BODY, signed() | {"webhook-id": "event-2"}, NEW),
        (BODY, signed(datetime.now(UTC) - timedelta(minutes=6)), NEW),
        (BODY, signed(), OTHER),
    ],
    ids=["another body", "another id", "too old", "another secret"],
)
def test_python_library_refuses_forgeries(body: bytes, headers: dict[str, str], secret: str) -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_javascript_library_accepts_both_secrets() -> None:
    if not shutil.which("node") or not (NODE_MODULES / "standardwebhooks").is_dir():
        pytest.skip("needs node and standardwebhooks: make clients")
    asked = {"secrets": [NEW, OLD, OTHER], "body": BODY.decode(), "headers": signed()}

    ran = subprocess.run(
        ["node", "-e", SCRIPT],
        input=json.dumps(asked),
        env={"NODE_PATH": str(NODE_MODULES), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert json.loads(ran.stdout) == ["video.ready", "video.ready", "No matching signature found"]
