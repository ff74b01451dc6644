"""What an answer of the Kubernetes API means: ask again, or say why not."""

from __future__ import annotations

import json
from typing import Any

from models.errors import ClusterError

TRANSIENT = {408, 409, 429, 500, 502, 503, 504}
"""A quota that another request changed is a 409, a webhook whose pod is not there yet a 500."""
LONGEST_RETRY_AFTER_SECONDS = 60.0


def words_of(error: Any) -> str:
    """The server's own words in an ``ApiException``."""
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.body if isinstance(error.body, str) and error.body else error.reason
    return " ".join(str(message).split()).rstrip(".")


def reason_of(error: Any) -> str:
    """The reason in an ``ApiException``, a word such as ``AlreadyExists``; empty if there is none."""
    try:
        return str(json.loads(error.body)["reason"])
    except (TypeError, ValueError, KeyError):
        return ""


def is_transient(error: Any) -> bool:
    """Whether asking again may help."""
    return error.status in TRANSIENT


def retry_after_seconds(error: Any) -> float | None:
    """How long the server asks to wait, at most a minute."""
    text = (error.headers or {}).get("Retry-After", "")
    return min(float(text), LONGEST_RETRY_AFTER_SECONDS) if text.isdecimal() else None


def refusal(error: Any, what: str) -> ClusterError:
    """The error for people.

    Args:
        error: an ``ApiException``.
        what: was asked for, as a verb and its object: "create TrainJob x in namespace y".
    """
    words = words_of(error)
    return ClusterError(f"Kubernetes refused to {what}: {words} ({error.status}).", _remedy(error.status, words))


def _remedy(status: int, words: str) -> str:
    if "exceeded quota" in words:
        return "Ask for fewer nodes or smaller ones, or have the namespace's quota raised."
    if "denied the request" in words or "admission webhook" in words:
        return "Change what the webhook names; the TrainingRuntimes of deploy/ must be in the namespace."
    match status:
        case 401:
            return "The step's service account is not known here: check its token."
        case 403:
            return "Give the step's service account the role of deploy/ for TrainJobs, pods, logs and events."
        case 404:
            return "Install Kubeflow Trainer, and name a namespace that exists."
        case _:
            return "Kubeflow Trainer 2.3 is what this is made for: compare its version."
