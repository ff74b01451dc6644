"""Kubernetes' API as training on several nodes needs it; the one file that speaks to it.

What passes (429, 5xx, a connection that is refused or breaks) is ridden out here, within a limit; what is refused comes
out at once with the server's words.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from components.launch.patience import Patience
from components.launch.refusals import is_transient, reason_of, refusal, retry_after_seconds, words_of
from models.errors import ClusterError, ConfigurationError

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
CONTAINER = "node"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

T = TypeVar("T")


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, patience: Patience, *, kubeconfig: bool = True) -> None:
        """Find the API server: the pod's own, or that of the current kubeconfig context.

        Args:
            patience: with it.
            kubeconfig: whether it may be a kubeconfig's.

        Raises:
            ConfigurationError: if there is neither.
        """
        from kubernetes import client, config

        configuration = client.Configuration()
        own = ""
        try:
            config.load_incluster_config(client_configuration=configuration)
            own = NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.is_file() else ""
        except config.ConfigException as error:
            if not kubeconfig:
                raise ConfigurationError(
                    f"This pod cannot speak to its cluster: {error}.", "Give its service account a token."
                ) from error
            try:
                # Read now: the library keeps what the variable said when it was imported.
                file = os.environ.get("KUBECONFIG") or None
                config.load_kube_config(file, client_configuration=configuration)
                own = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "")
            except (config.ConfigException, OSError) as error:
                raise ConfigurationError(
                    "Training on several nodes needs a Kubernetes cluster, and none is known here.",
                    "Run the pipeline on one, name one by KUBECONFIG, or set resources.nodes=1.",
                ) from error
        configuration.retries = False  # asked again here, where it is known what that may do
        self.namespace = own or "default"
        self._patience = patience
        self._client = client.ApiClient(configuration)
        self._custom = client.CustomObjectsApi(self._client)
        self._core = client.CoreV1Api(self._client)
        self._place = (GROUP, VERSION, self.namespace, PLURAL)

    def create(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Create a TrainJob, with one request; None where one of that name is there.

        Raises:
            ClusterError: if it is refused.
            TransientError: if it may or may not have been created.
        """
        what = f"create TrainJob {body['metadata']['name']} in namespace {self.namespace}"

        def ask() -> dict[str, Any] | None:
            from kubernetes.client import ApiException

            try:
                created: dict[str, Any] = self._custom.create_namespaced_custom_object(
                    *self._place, body, _request_timeout=self._patience.request_seconds
                )
            except ApiException as error:
                if error.status == 409 and reason_of(error) == "AlreadyExists":
                    return None
                raise
            return created

        return self._once(ask, what)

    def get(self, name: str, limit_seconds: float | None = None) -> dict[str, Any] | None:
        """The TrainJob as it is now; None where there is none.

        Raises:
            ClusterError: if it is refused, or not answered within ``limit_seconds``.
        """

        def ask() -> dict[str, Any] | None:
            from kubernetes.client import ApiException

            try:
                found: dict[str, Any] = self._custom.get_namespaced_custom_object(
                    *self._place, name, _request_timeout=self._patience.request_seconds
                )
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
            return found

        return self.ride_out(ask, f"read TrainJob {name} in namespace {self.namespace}", limit_seconds)

    def delete(self, name: str, uid: str, limit_seconds: float | None = None) -> None:
        """Ask for the deletion of a TrainJob with all that it owns; none of another's under the same name.

        Raises:
            ClusterError: if it is refused, or not answered within ``limit_seconds``.
        """

        def ask() -> None:
            from kubernetes.client import ApiException, V1DeleteOptions, V1Preconditions

            options = V1DeleteOptions(propagation_policy="Foreground", preconditions=V1Preconditions(uid=uid))
            try:
                self._custom.delete_namespaced_custom_object(
                    *self._place, name, body=options, _request_timeout=self._patience.request_seconds
                )
            except ApiException as error:
                # Gone, or another one by now: in both cases ours is deleted.
                if error.status not in (404, 409):
                    raise

        self.ride_out(ask, f"delete TrainJob {name} in namespace {self.namespace}", limit_seconds)

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """The TrainJobs that carry these labels; none where Kubeflow Trainer is not installed.

        Raises:
            ClusterError: if it is refused, or not answered for too long.
        """

        def ask() -> list[dict[str, Any]]:
            from kubernetes.client import ApiException

            try:
                found = self._custom.list_namespaced_custom_object(
                    *self._place, label_selector=selector, _request_timeout=self._patience.request_seconds
                )
            except ApiException as error:
                if error.status == 404:
                    return []
                raise
            items: list[dict[str, Any]] = found["items"]
            return items

        return self.ride_out(ask, f"list the TrainJobs in namespace {self.namespace}")

    def pods(self, name: str) -> tuple[list[dict[str, Any]], str]:
        """The pods of a TrainJob, as the API spells them, and the version of the list."""

        def ask() -> tuple[list[dict[str, Any]], str]:
            found = self._list(self._core.list_namespaced_pod, label_selector=f"{JOB_LABEL}={name}")
            return found["items"], found["metadata"].get("resourceVersion", "")

        return self.ride_out(ask, f"list the pods of TrainJob {name} in namespace {self.namespace}")

    def watch_pods(self, name: str, version: str, seconds: float, see: Callable[[str, dict[str, Any]], bool]) -> str:
        """Tell every change of a TrainJob's pods since a version, for some seconds or until ``see`` is content.

        Args:
            name: of the TrainJob.
            version: of the list, or of the last change.
            seconds: at most.
            see: takes the kind of the change (``ADDED``, ``MODIFIED``, ``DELETED``) and the pod.

        Returns:
            The version to go on from; empty where the pods have to be listed again: the version is gone (410), or the
            watch broke.
        """
        from kubernetes.client import ApiException
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        started = time.monotonic()
        try:
            changes = Watch("object").stream(  # as the API spells them, as in the lists
                self._core.list_namespaced_pod,
                self.namespace,
                label_selector=f"{JOB_LABEL}={name}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(self._patience.request_seconds, seconds + self._patience.watch_margin_seconds),
            )
            with closing(changes):
                for change in changes:
                    pod = change["raw_object"]
                    version = pod["metadata"]["resourceVersion"]
                    if see(change["type"], pod) or time.monotonic() - started >= seconds:
                        return version
            return version
        except ReadTimeoutError:
            return version
        except (ApiException, HTTPError, OSError, json.JSONDecodeError):
            # Not at once again: a proxy may cut every watch.
            time.sleep(max(0.0, min(seconds, self._patience.first_pause_seconds) - (time.monotonic() - started)))
            return ""

    def warnings(self, name: str) -> list[str]:
        """Warning events about one object, oldest first; none where they cannot be read."""

        def ask() -> list[str]:
            events = self._list(self._core.list_namespaced_event, field_selector=f"involvedObject.name={name}")["items"]
            warnings = [event for event in events if event.get("type") == "Warning"]
            warnings.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
            return [f"{event.get('reason')}: {' '.join(str(event.get('message')).split())}" for event in warnings]

        return self._at_best(ask, [])

    def log_tail(self, pod: str, lines: int) -> list[str]:
        """The last lines that a node wrote; none where they cannot be read."""

        def ask() -> list[str]:
            text = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=CONTAINER,
                tail_lines=lines,
                _request_timeout=self._patience.request_seconds,
            )
            return str(text).splitlines()

        return self._at_best(ask, [])

    def log_lines(self, pod: str, since_seconds: int | None, *, follow: bool) -> Iterator[str]:
        """Lines of a node's log with their time stamps, as they come.

        Raises:
            ConnectionError: if it broke off, or nothing came for a while.
        """
        from kubernetes.client import ApiException
        from kubernetes.watch.watch import iter_resp_lines
        from urllib3.exceptions import HTTPError

        since = {} if since_seconds is None else {"since_seconds": since_seconds}
        wait_seconds = self._patience.request_seconds
        try:
            answer = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=CONTAINER,
                follow=follow,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(wait_seconds, 2 * wait_seconds),
                **since,
            )
            try:
                yield from iter_resp_lines(answer)
            finally:
                answer.close()
        except (ApiException, HTTPError, OSError) as error:
            raise ConnectionError(str(error)) from error

    def _list(self, ask: Callable[..., Any], **selector: str) -> dict[str, Any]:
        """A list as the API spells it; the client's own models refuse what is newer than they are."""
        answer = ask(
            self.namespace, _preload_content=False, _request_timeout=self._patience.request_seconds, **selector
        )
        found: dict[str, Any] = json.loads(answer.data)
        return found

    def ride_out(self, ask: Callable[[], T], what: str, limit_seconds: float | None = None) -> T:
        """What the API answers; asked again while that may help and there was no answer for less than the limit.

        Raises:
            ClusterError: if it refuses, or does not answer for too long.
        """
        limit = self._patience.progress_seconds if limit_seconds is None else limit_seconds
        started, pause = time.monotonic(), self._patience.first_pause_seconds
        while True:
            try:
                return self._once(ask, what)
            except TransientError as error:
                wait = error.retry_after_seconds or pause
                if time.monotonic() - started + wait > limit:
                    raise unanswered(error, what, limit) from error
                time.sleep(wait)
                pause = min(2 * pause, self._patience.longest_pause_seconds)

    def _once(self, ask: Callable[[], T], what: str) -> T:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return ask()
        except ApiException as error:
            if is_transient(error):
                raise TransientError(f"{words_of(error)} ({error.status})", retry_after_seconds(error)) from error
            raise refusal(error, what) from error
        except (HTTPError, OSError) as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    def _at_best(self, ask: Callable[[], T], otherwise: T) -> T:
        try:
            return self._once(ask, "")
        except (ClusterError, TransientError):
            return otherwise


def unanswered(error: TransientError, what: str, limit_seconds: float) -> ClusterError:
    """The error for people where the API could not answer for too long."""
    return ClusterError(
        f"The Kubernetes API did not answer for {limit_seconds:.0f} s, asked to {what}: {error}.",
        "When it is back, run the step again: training goes on from its last checkpoint.",
    )


class TransientError(Exception):
    """The API could not answer now."""

    def __init__(self, words: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(words)
        self.retry_after_seconds = retry_after_seconds
