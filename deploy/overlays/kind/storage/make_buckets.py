"""Makes the buckets that the other parts write into, says so by an empty file, and stays until it is ended.

    python make_buckets.py FILE BUCKET...

Buckets that are there already stay as they are.
"""

import os
import signal
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SECONDS_TO_WAIT = 300.0
THERE_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def make_bucket(s3, name, deadline):
    """Make one bucket, and wait for a server that is not there yet. Raises what it last heard at the deadline."""
    while True:
        try:
            s3.create_bucket(Bucket=name)
            return
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in THERE_ALREADY:
                return
            problem = error
        except BotoCoreError as error:
            problem = error
        if time.monotonic() > deadline:
            raise problem
        print(f"{name}: {problem}; tried again", flush=True)
        time.sleep(2)


if __name__ == "__main__":
    # The first process of a container is ended by a signal only where it waits for it.
    ends = {signal.SIGTERM, signal.SIGINT}
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=os.environ["AWS_REGION"])
    last = time.monotonic() + SECONDS_TO_WAIT
    ready, *buckets = sys.argv[1:]
    for bucket in buckets:
        make_bucket(client, bucket, last)
        print(f"{bucket}: there", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    Path(ready).touch()
    signal.sigwait(ends)
