"""Who asks AWS: found as AWS's own libraries find it, without them.

In this order, the first that is there:

1. ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, with ``AWS_SESSION_TOKEN``;
2. ``AWS_WEB_IDENTITY_TOKEN_FILE`` and ``AWS_ROLE_ARN``: the role of a Kubernetes service account;
3. the profile ``AWS_PROFILE``, or ``default``, of ``~/.aws/credentials``;
4. ``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`` or ``..._FULL_URI``: the role of a container;
5. nobody, which is enough for a public bucket.

A machine's own role (EC2's metadata service) is not asked for: a pod should not have it.
"""

from __future__ import annotations

import logging
import os
import threading
from time import time

from serving.errors import RegistryError
from serving.registry.aws_issuers import Container, Issued, Issuer, WebIdentity
from serving.registry.aws_profile import profile_credentials
from serving.registry.aws_signature import Credentials

logger = logging.getLogger(__name__)

_EARLY_SECONDS = 300.0
_AGAIN_SECONDS = 30.0
_LONGEST_SECONDS = 12 * 3600.0  # that AWS gives; and of what does not say when it ends


class AwsCredentials:
    """Credentials for the next request.

    Everything is read from the environment at each call, because a mounted secret may change. What ends by itself is
    renewed five minutes before its end, or after half of its time if that is later; as long as that fails, and it has
    not ended, it is used. Any thread may ask.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issuer: Issuer | None = None
        self._issued: Issued | None = None
        self._renew_at = 0.0

    def current(self) -> Credentials | None:
        """Who asks now; None if nobody does.

        Raises:
            RegistryError: if what the environment names gives no credentials.
        """
        key, secret = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
        if key and secret:
            return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN", ""))
        if key or secret:
            raise RegistryError("one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set without the other.")
        if issuer := _web_identity():
            return self._from(issuer)
        if found := profile_credentials():
            return found
        if issuer := _container():
            return self._from(issuer)
        return None

    def close(self) -> None:
        """End what is under way."""
        if issuer := self._issuer:
            issuer.close()

    def _from(self, issuer: Issuer) -> Credentials:
        with self._lock:
            now = time()
            if self._issuer is None or self._issuer.who != issuer.who:
                self._issuer, self._issued = issuer, None
            if self._issued is None or now >= self._issued.expires_at:
                self._renew(self._issuer, now)
            elif now >= self._renew_at:
                try:
                    self._renew(self._issuer, now)
                except RegistryError as error:
                    self._renew_at = now + _AGAIN_SECONDS
                    logger.warning("credentials are not renewed, those before them are used: %s", error)
            assert self._issued is not None
            return self._issued.credentials

    def _renew(self, issuer: Issuer, now: float) -> None:
        self._issued = issued = issuer.issue()
        left = min(issued.expires_at - now, _LONGEST_SECONDS)
        self._renew_at = now + max(left / 2, left - _EARLY_SECONDS)


def _web_identity() -> Issuer | None:
    file, role = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""), os.environ.get("AWS_ROLE_ARN", "")
    if file and role:
        return WebIdentity(file, role)
    if file:
        raise RegistryError("AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN.")
    return None


def _container() -> Issuer | None:
    relative = os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    full = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    return Container(relative, full) if relative or full else None
