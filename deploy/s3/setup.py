"""Prepares an object store: the bucket, and its policy that lets the edge read streams and gates.

Runs in the image of the API with an administrator's key. It may run again at any time. It works with every S3
store that has bucket policies. It creates no keys: stores do that in different ways.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

#: Seconds to wait for a store that starts, and between two attempts.
_PATIENCE = 120.0
_PAUSE = 1.0
#: Statuses that another attempt would get too.
_FINAL = (400, 401, 403)


def main() -> int:
    """Returns the exit code: 0 when the store is ready, 1 with a sentence when it is not."""
    bucket = os.environ.get("S3_BUCKET", "videos")
    store = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        region_name=os.environ.get("S3_REGION", "us-east-1"),
        aws_access_key_id=os.environ["S3_ADMIN_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_ADMIN_SECRET_KEY"],
        config=Config(
            connect_timeout=5, read_timeout=10, retries={"max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            set_up(store, bucket, _policy(bucket, os.environ["EDGE_ORIGIN_SECRET"]))
        except (BotoCoreError, ClientError) as error:
            if _is_final(error) or time.monotonic() > deadline:
                print(f"the object store is not ready: {error}", file=sys.stderr)
                return 1
            time.sleep(_PAUSE)
        else:
            print(f"the bucket {bucket} is ready")
            return 0


def set_up(store: Any, bucket: str, policy: str) -> None:
    """Creates the bucket if it is missing, and sets its policy. Raises BotoCoreError and ClientError."""
    try:
        store.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        region = store.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        store.create_bucket(Bucket=bucket, **place)
    store.put_bucket_policy(Bucket=bucket, Policy=policy)


def _policy(bucket: str, secret: str) -> str:
    text = (Path(__file__).parent / "anonymous.json").read_text()
    policy = json.loads(text.replace("arn:aws:s3:::videos/", f"arn:aws:s3:::{bucket}/"))
    for statement in policy["Statement"]:
        statement["Condition"]["StringEquals"]["aws:Referer"] = secret
    return json.dumps(policy)


def _is_final(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] in _FINAL


if __name__ == "__main__":
    sys.exit(main())
