"""A Kubeflow Pipelines server that is spoken to, and what it refuses in one line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import GanvasError

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Address:
    """Where the server is and as whom it is spoken to, as ``kfp.Client`` takes it.

    Attributes:
        host: URL, of the UI or of the API server.
        namespace: the user's, on a server with several users.
        token: sent with each request.
        token_file: file with a token, read again for each request: whoever made it replaces it before it expires.
        cookies: value of the header ``Cookie``, as a browser holds it after a login.
        ca_certificate: file with the authority of the server's certificate.
    """

    host: str
    namespace: str = ""
    token: str = ""
    token_file: str = ""
    cookies: str = ""
    ca_certificate: str = ""


class Server:
    """The KFP client's calls, each explained where it fails.

    Raises:
        GanvasError: from the constructor as from every ``with server.explained()``.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        # The client tries thrice by itself, each time at length.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        with warnings.catch_warnings(), self.explained():
            warnings.filterwarnings("ignore")  # it announces the ends of Python versions, and itself
            self.client = _client(address)

    @property
    def namespace(self) -> str | None:
        """The one to name in requests; None for the server's only one."""
        return self.address.namespace or None

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever goes wrong within becomes one line; what the client prints is not said."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except GanvasError:
            raise
        except Exception as error:  # kfp's client raises whatever its HTTP layers do
            raise _explanation(self.address.host, error) from error

    def run_page(self, run_id: str) -> str:
        """The page of a run in the UI."""
        return f"{self.address.host.rstrip('/')}/#/runs/details/{run_id}"

    def schedule_page(self, recurring_run_id: str) -> str:
        """The page of a recurring run in the UI."""
        return f"{self.address.host.rstrip('/')}/#/recurringrun/details/{recurring_run_id}"


def identified(value: object) -> str:
    """An id that a server gave.

    Raises:
        ValueError: if it is none: the client makes empty objects of whatever page answers.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("its answer names no id")
    return value


def _client(address: Address) -> Any:
    import kfp
    import kfp_server_api
    from kfp.client import ServiceAccountTokenVolumeCredentials

    credentials = None
    if address.token_file and not address.token:
        require_readable(address.token_file)
        credentials = ServiceAccountTokenVolumeCredentials(address.token_file)

    class Client(kfp.Client):  # type: ignore[misc]
        """Asks once for the server's health: a person waits, and the original sleeps 5 s between five attempts."""

        def get_kfp_healthz(self, sleep_duration: int = 0) -> kfp_server_api.V2beta1GetHealthzResponse:
            _limit_time(self._healthz_api.api_client)
            return self._healthz_api.healthz_service_get_healthz()

    client = Client(
        host=address.host,
        # "kubeflow" is the client's word for "none given".
        namespace=address.namespace or "kubeflow",
        existing_token=address.token or None,
        credentials=credentials,
        cookies=address.cookies or None,
        ssl_ca_cert=address.ca_certificate or None,
    )
    _limit_time(client._run_api.api_client)
    return client


def require_readable(token_file: str) -> None:
    """Refuse a file that gives no token.

    Raises:
        GanvasError: if it cannot be read or is empty.
    """
    try:
        problem = "" if Path(token_file).read_text().strip() else "it is empty"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it is no text"
    if problem:
        raise GanvasError(
            f"No token could be read from {token_file}: {problem}.",
            "Correct --token-file (KF_PIPELINES_SA_TOKEN_PATH), or give --existing-token.",
        )


def _limit_time(api_client: Any) -> None:
    """A bound on every request of a client that knows none."""
    rest = api_client.rest_client
    if getattr(rest, "is_limited", False):
        return
    original = rest.request

    def request(*arguments: Any, **named: Any) -> Any:
        named["_request_timeout"] = named.get("_request_timeout") or TIMEOUT_SECONDS
        return original(*arguments, **named)

    rest.request, rest.is_limited = request, True


def _explanation(host: str, error: Exception) -> GanvasError:
    import kfp_server_api

    if isinstance(error, kfp_server_api.ApiException) and error.status:
        status, said = int(error.status), _message(error.body)
        where = f"Kubeflow Pipelines at {host}"
        if status in (401, 403):
            return GanvasError(
                f"{where} does not let this user in ({status}): {said}",
                "Give --existing-token, --token-file or --cookies, and the --namespace that you may work in.",
            )
        if status == 404:
            return GanvasError(
                f"{where} has no such thing (404): {said}",
                "Check the name, and that --host is Kubeflow Pipelines 2 itself, with no path after it.",
            )
        if status >= 500:
            return GanvasError(f"{where} failed ({status}): {said}", "Try again; look into the log of ml-pipeline.")
        return GanvasError(f"{where} refuses ({status}): {said}", "Correct what it names.")
    of_http = type(error).__module__.startswith("urllib3.")
    if of_http or isinstance(error, OSError | kfp_server_api.ApiException):
        reason = getattr(error, "reason", None) or error
        return GanvasError(
            f"No Kubeflow Pipelines answers at {host}: {_line(str(reason))}.",
            "Check --host (KFP_HOST), and that a port-forward or ingress leads there.",
        )
    return GanvasError(
        f"Kubeflow Pipelines at {host} does not answer as it should: {_line(str(error)) or type(error).__name__}.",
        "Check that --host is Kubeflow Pipelines 2. Before a page to log in at, give --cookies or --existing-token.",
    )


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        document = json.loads(text)
    except ValueError:
        return _line(text) or "it does not say why"
    if not isinstance(document, dict):
        return _line(text)
    return _line(str(document.get("error_message") or document.get("message") or document.get("error") or text))


def _line(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")
