"""Signatures equal those of an S3 client."""

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gostream_devstack.host.signed_request import signature

HOST, KEYS, REGION = "127.0.0.1:9000", ("key", "secret"), "us-east-1"


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("PUT", "/videos/.probe", b"x"), ("DELETE", "/videos/.probe", b""), ("PUT", "/videos?policy=", b"{}")],
)
def test_signature_equals_that_of_botocore(method: str, target: str, body: bytes) -> None:
    theirs = AWSRequest(method, f"http://{HOST}{target}", data=body)
    S3SigV4Auth(Credentials(*KEYS), "s3", REGION).add_auth(theirs)
    moment = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    ours = signature(method, HOST, target, body, KEYS, REGION, moment)

    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours["x-amz-content-sha256"] == theirs.headers["X-Amz-Content-SHA256"]
