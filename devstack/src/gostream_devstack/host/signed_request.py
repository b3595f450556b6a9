"""Signs requests to an S3 server: AWS Signature Version 4."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

_ALGORITHM = "AWS4-HMAC-SHA256"


def signature(
    method: str, host: str, target: str, body: bytes, keys: tuple[str, str], region: str, moment: datetime
) -> Mapping[str, str]:
    """Returns the headers that sign a request; `keys` are the access key and its secret.

    `moment` is in UTC. The query of `target` must be encoded and sorted already.
    """
    path, _, query = target.partition("?")
    key, secret = keys
    digest, time = sha256(body).hexdigest(), moment.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": time}
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    canonical = "\n".join([method, path, query, *lines, "", names, digest])
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, time, scope, sha256(canonical.encode()).hexdigest()])
    signing_key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    seal = hmac.digest(signing_key, text.encode(), "sha256").hex()
    authorization = f"{_ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={seal}"
    return {**headers, "authorization": authorization}
