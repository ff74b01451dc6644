"""Credentials from the file that AWS's own tools keep for people: ``~/.aws/credentials``."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from serving.errors import RegistryError
from serving.registry.aws_signature import Credentials

PROFILE_VARIABLE, FILE_VARIABLE = "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"
_DEFAULT_PROFILE = "default"
_DEFAULT_FILE = "~/.aws/credentials"


def profile_credentials() -> Credentials | None:
    """The keys of the profile that ``AWS_PROFILE`` names, read at each call; of ``default`` if it names none.

    Returns:
        None if no profile is named and there is no default one with keys.

    Raises:
        RegistryError: if the file is broken, or the profile that is named is not there or has no keys.
    """
    named = os.environ.get(PROFILE_VARIABLE, "")
    profile, path = named or _DEFAULT_PROFILE, _path()
    # Without interpolation: a secret may hold a percent sign.
    file = configparser.RawConfigParser()
    try:
        file.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        if named:
            raise RegistryError(
                f"{path} cannot be read: {error.strerror}.", f"{PROFILE_VARIABLE} names a profile in it."
            ) from error
        return None
    except (configparser.Error, UnicodeDecodeError):
        # Their words, and the lines in their tracebacks, may be secrets.
        raise RegistryError(f"{path} is no file of AWS profiles.", f"Mend it, or set {FILE_VARIABLE}.") from None
    values = file[profile] if file.has_section(profile) else {}
    key, secret = values.get("aws_access_key_id", ""), values.get("aws_secret_access_key", "")
    if key and secret:
        return Credentials(key, secret, values.get("aws_session_token", ""))
    if named:
        raise RegistryError(
            f"{path} has no profile {profile!r} with aws_access_key_id and aws_secret_access_key.",
            "Roles, processes and sign-ons of profiles are not followed.",
        )
    return None


def _path() -> Path:
    path = Path(os.environ.get(FILE_VARIABLE, "") or _DEFAULT_FILE)
    try:
        return path.expanduser()
    except RuntimeError:  # a container's user may have no home
        return path
