"""Reading objects of S3, and of what speaks as it does: GET and HEAD, signed as who the environment says."""

from __future__ import annotations

import os
import re
import urllib.error
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from serving.errors import RegistryError
from serving.registry.aws_credentials import AwsCredentials
from serving.registry.aws_issuers import region
from serving.registry.aws_signature import encoded_path, signed_headers
from serving.registry.fetch import Absent, Origin, without_credentials

MLFLOW_ENDPOINT_VARIABLE = "MLFLOW_S3_ENDPOINT_URL"
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


class S3(Origin):
    """Objects by their address.

    Everything is read from the environment at each call, because a mounted secret may change: who asks, see
    ``serving.registry.aws_credentials``; ``AWS_REGION`` or ``AWS_DEFAULT_REGION``; ``AWS_ENDPOINT_URL_S3`` or
    ``AWS_ENDPOINT_URL``.

    Args:
        first_endpoint_variable: one that goes before those two.
    """

    what_to_check = "Check AWS_ENDPOINT_URL and AWS_REGION."

    def __init__(self, *, first_endpoint_variable: str = "") -> None:
        super().__init__()
        self._endpoint_variables = (first_endpoint_variable, *_ENDPOINT_VARIABLES)
        self._credentials = AwsCredentials()
        self._nobody_asks = False  # the next request, as the last one found

    def url(self, bucket: str, key: str) -> str:
        """The address of an object: ``ENDPOINT/BUCKET/KEY``, or ``BUCKET.s3.REGION.amazonaws.com/KEY`` without one.

        Args:
            bucket: as :func:`serving.sources.parse_s3` lets it pass.
            key: without a slash before it; one that is empty gives the bucket's own address.

        Raises:
            RegistryError: if the endpoint is no address of a web server.
        """
        path = f"/{encoded_path(key)}" if key else ""
        if endpoint := self._endpoint():
            return f"{endpoint}/{bucket}{path}"
        here = region()
        host = f"s3.{here}.amazonaws.com{'.cn' if here.startswith('cn-') else ''}"
        # AWS's certificate is for one name before its own.
        return f"https://{host}/{bucket}{path}" if "." in bucket else f"https://{bucket}.{host}{path}"

    def etag(self, url: str) -> str:
        """What changes when an object does; empty where the server gives none.

        Raises:
            Absent: if there is no such object.
            RegistryError: if the server cannot be reached or refuses.
        """
        return self.head(url).get("etag") or ""

    def close(self) -> None:
        """See :class:`serving.registry.fetch.Origin`; the asking for credentials ends, too."""
        super().close()
        self._credentials.close()

    def _endpoint(self) -> str:
        for variable in self._endpoint_variables:
            if endpoint := os.environ.get(variable, ""):
                if urlsplit(endpoint).scheme not in ("http", "https"):
                    raise RegistryError(f"{variable} must begin with http:// or https://.")
                return without_credentials(endpoint).rstrip("/")
        return ""

    def _authorization(self, method: str, url: str) -> Mapping[str, str]:
        credentials = self._credentials.current()
        self._nobody_asks = credentials is None
        if credentials is None:
            return {}
        return signed_headers(method, url, credentials, region=region(), now=datetime.now(UTC))

    def _refusal(self, host: str, error: urllib.error.HTTPError, content: bytes) -> Exception:
        code = _CODE.search(content)
        if error.code == 404 and (code is None or code[1] != b"NoSuchBucket"):
            return Absent()
        why = f" ({code[1].decode()})" if code else ""
        place = error.headers.get("x-amz-bucket-region", "")
        remedy = _remedy(error.code, place, nobody_asks=self._nobody_asks)
        return RegistryError(f"{host} answered {error.code} {error.reason}{why}.", remedy)


def _remedy(status: int, place: str, *, nobody_asks: bool) -> str:
    if place and place != region():
        return f"The bucket lies in {place}: set AWS_REGION."
    if 300 < status < 400:
        return "Redirects are not followed: set AWS_REGION, or AWS_ENDPOINT_URL to the address that answers."
    if status == 403 and nobody_asks:
        return "Nobody asked: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role."
    if status == 403:
        return "Check the AWS_ variables, and that they may read; some answer so, too, where there is no such file."
    return ""
