"""Settings as they may be shown to anybody: what each is, where it comes from, and no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import SecretBytes, SecretStr

from serving.settings import Resolved, Settings

MASK = "***"
_SECRET_NAME = re.compile(r"(^|_)(token|password|passphrase|secret|credentials?)s?($|_)")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_QUERY = re.compile(r"(?<=[?&])([^=&#]*(?:token|password|passwd|secret|key)[^=&#]*)=[^&#]*", re.IGNORECASE)


def shown_settings(resolved: Resolved) -> str:
    """JSON: ``{name: {"value": ..., "from": "flag" | "environment VARIABLE" | "file PATH" | "default"}}``.

    What a secret type holds is masked, or what a secret's name stands for, or what an address holds of them;
    an empty one is shown, because it tells that there is none.
    """
    values = masked_settings(resolved.settings)
    shown = {name: {"value": value, "from": resolved.origins[name]} for name, value in values.items()}
    return json.dumps(shown, indent=2)


def masked_settings(settings: Settings) -> dict[str, Any]:
    """Every setting by its name, masked as above."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    values["tracking_uri"] = settings.registry_uri
    return {name: _masked(name, value) for name, value in values.items()}


def mask_address(text: str) -> str:
    """A text without what stands before ``@`` in the addresses in it, and without the secrets of their queries."""
    return _SECRET_QUERY.sub(rf"\1={MASK}", _USER_INFO.sub(f"{MASK}@", text))


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, str | Path):
        return MASK if str(value) and _SECRET_NAME.search(name) else mask_address(str(value))
    if isinstance(value, tuple | list | set | frozenset):
        return [_masked(name, part) for part in value]
    if isinstance(value, dict):
        return {key: _masked(f"{name}_{key}".lower(), part) for key, part in value.items()}
    return value
