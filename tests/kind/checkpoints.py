"""What training has left in the bucket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.kind.pipeline_run import SURROUNDINGS
from tests.kind.secrets import values_of
from tests.kind.shell import StepFailed

_WHOLE = re.compile(r"/(\d{12})/checkpoint\.json")
"""A checkpoint by the images seen; its document is written last."""


class Checkpoints:
    """The bucket of the checkpoints, entered as the nodes enter it."""

    def __init__(self, address: str, secrets: Path) -> None:
        import boto3
        from botocore.config import Config

        keys = values_of(secrets / "s3.env")
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=address,
            region_name=SURROUNDINGS["s3-region"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def images_seen(self) -> int:
        """Of the newest whole checkpoint; 0 where there is none. Raises StepFailed."""
        from botocore.exceptions import BotoCoreError, ClientError

        bucket, _, prefix = SURROUNDINGS["checkpoint-uri"].removeprefix("s3://").partition("/")
        try:
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
        except (BotoCoreError, ClientError) as error:
            raise StepFailed(f"S3 does not answer: {error}") from error
        return max((int(match[1]) for entry in found if (match := _WHOLE.search(entry["Key"]))), default=0)

    def missing(self) -> str:
        """What keeps training from being gone on with."""
        return "" if self.images_seen() else "there is none"
