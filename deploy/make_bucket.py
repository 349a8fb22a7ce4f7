"""Make the bucket of MLflow's artifacts where it is not there yet; its address and keys come from the environment."""

from __future__ import annotations

import os
import sys

import boto3
from botocore.exceptions import ClientError


def main(bucket: str) -> None:
    """Make it, once."""
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise


if __name__ == "__main__":
    main(sys.argv[1])
