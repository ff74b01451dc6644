"""Services that hand out credentials for some hours: AWS's Security Token Service, and a container's own endpoint.

The first takes the token that a Kubernetes service account has in a file (AWS STS API Reference,
"AssumeRoleWithWebIdentity"); the second is what ECS, and EKS's Pod Identity, put beside a container (AWS SDKs and
Tools Reference Guide, "Container credential provider").
"""

from __future__ import annotations

import html
import os
import re
import urllib.error
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import orjson

from serving.errors import RegistryError
from serving.registry.aws_signature import Credentials
from serving.registry.fetch import Absent, Origin

_DEFAULT_REGION = "us-east-1"
_ANSWER_SECONDS = 10.0
_ANSWER_BYTES = 1 << 16
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")
_CONTAINER_HOST = "http://169.254.170.2"
# Where else a token may go without TLS: link-local addresses of ECS and EKS, by IPv4 and IPv6.
_LINK_LOCAL = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")


def region() -> str:
    """AWS's region, as the environment says."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION


@dataclass(frozen=True)
class Issued:
    """Credentials that end by themselves.

    Attributes:
        expires_at: seconds since the epoch; infinite if the issuer does not say.
    """

    credentials: Credentials
    expires_at: float


class Issuer(Origin):
    """Hands out credentials.

    Attributes:
        who: whatever makes its answers another's; equal while the environment says the same.
    """

    who: tuple[str, ...]

    @abstractmethod
    def issue(self) -> Issued:
        """New credentials.

        Raises:
            RegistryError: if it gives none.
        """

    def _answer(self, url: str, body: bytes | None = None) -> bytes:
        try:
            return self.read(url, limit=_ANSWER_BYTES, seconds=_ANSWER_SECONDS, body=body)
        except Absent as error:
            raise RegistryError(f"{urlsplit(url).netloc} has no credentials.", self.what_to_check) from error

    def _no_credentials(self, url: str) -> RegistryError:
        # Nothing of the answer is shown: half of it may be a secret.
        return RegistryError(f"{urlsplit(url).netloc} gave no credentials that can be read.", self.what_to_check)


class WebIdentity(Issuer):
    """A role for the bearer of a token in a file, which is read again each time: it is replaced every hour."""

    what_to_check = "Check AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_REGION."

    def __init__(self, token_file: str, role: str) -> None:
        super().__init__()
        self._token_file = Path(token_file)
        self._role = role
        self._session = os.environ.get("AWS_ROLE_SESSION_NAME") or "ganvas-serve"
        self._url = _sts_url()
        self.who = ("web identity", token_file, role, self._session, self._url)

    def issue(self) -> Issued:
        """See :class:`Issuer`."""
        try:
            token = self._token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(f"{self._token_file} cannot be read.", self.what_to_check) from error
        form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": self._role}
        form |= {"RoleSessionName": self._session, "WebIdentityToken": token}
        content = self._answer(self._url, urlencode(form).encode())
        found = [_element(content, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")]
        try:
            key, secret, token, expiration = found
            return _issued(key, secret, token, expiration)
        except ValueError:
            raise self._no_credentials(self._url) from None

    def _refusal(self, host: str, error: urllib.error.HTTPError, content: bytes) -> Exception:
        code = _CODE.search(content)
        why = f" ({code[1].decode()})" if code else ""
        return RegistryError(f"{host} answered {error.code} {error.reason}{why}.", self.what_to_check)


class Container(Issuer):
    """The endpoint beside a container; it is asked past any proxy."""

    what_to_check = "Check AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or the FULL one, and the role of the container."

    def __init__(self, relative: str, full: str) -> None:
        super().__init__(proxied=False)
        self._url = f"{_CONTAINER_HOST}{relative}" if relative else full
        self.who = ("container", self._url)

    def issue(self) -> Issued:
        """See :class:`Issuer`."""
        if not _may_be_told(self._url):
            raise RegistryError(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https:// nor an address of this machine.",
                "Over http a token goes to loopback, or to the addresses of ECS and EKS, alone.",
            )
        try:
            document = orjson.loads(self._answer(self._url))
            found = [document.get(name) or "" for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")]
            key, secret, token, expiration = map(str, found)
            return _issued(key, secret, token, expiration)
        except (ValueError, AttributeError):  # no JSON, no object, no date
            raise self._no_credentials(self._url) from None

    def _authorization(self, method: str, url: str) -> Mapping[str, str]:
        """Read each time: it is replaced."""
        token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if file := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""):
            try:
                token = Path(file).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise RegistryError(f"{file} cannot be read.", "Check the token file of the container.") from error
        return {"Authorization": token} if token else {}


def _issued(key: str, secret: str, token: str, expiration: str) -> Issued:
    """Raises ValueError if there is no key, or the moment is none."""
    if not key or not secret:
        raise ValueError
    if not expiration:
        return Issued(Credentials(key, secret, token), float("inf"))
    moment = datetime.fromisoformat(expiration)
    return Issued(
        Credentials(key, secret, token), (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    )


def _element(content: bytes, name: str) -> str:
    """The text of an element that has no others in it; empty if there is none."""
    found = re.search(f"<{name}>([^<]*)</{name}>".encode(), content)
    return html.unescape(found[1].decode(errors="replace")).strip() if found else ""


def _sts_url() -> str:
    """As AWS's own libraries find it."""
    for variable in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"):
        if endpoint := os.environ.get(variable, ""):
            return endpoint.rstrip("/") + "/"
    here = region()
    return f"https://sts.{here}.amazonaws.com{'.cn' if here.startswith('cn-') else ''}/"


def _may_be_told(url: str) -> bool:
    """Whether a token may be sent there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        if parts.scheme != "http":
            return False
        return host == "localhost" or host in _LINK_LOCAL or ip_address(host).is_loopback
    except ValueError:
        return False
