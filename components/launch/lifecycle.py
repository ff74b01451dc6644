"""One TrainJob's life: created or adopted, and deleted whatever happens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from components.launch.api import Cluster, TransientError, unanswered
from components.launch.patience import Patience
from components.launch.reading import ended
from components.launch.termination import Termination
from components.launch.trainjob import is_ours, is_same
from components.step import say
from models.errors import ClusterError, ConfigurationError, GanvasError


class TrainJob:
    """A TrainJob of ours.

    ``name`` and ``where`` tell it to people; ``seconds_before`` is its age where it was adopted.
    """

    def __init__(self, api: Cluster, body: dict[str, Any], patience: Patience, termination: Termination) -> None:
        self.api, self.patience, self.termination = api, patience, termination
        self._body = body
        self.name: str = body["metadata"]["name"]
        self.nodes: int = body["spec"]["trainer"]["numNodes"]
        self.where = f"TrainJob {self.name} in namespace {api.namespace}"
        self.seconds_before = 0.0
        self._attempted = False
        self._unanswered: TransientError | None = None

    def start(self) -> None:
        """Create it, or take up what an earlier attempt of this step left running.

        Raises:
            ConfigurationError: if another's job has this name.
            ClusterError: if the cluster refuses it or does not answer.
        """
        started, pause = time.monotonic(), self.patience.first_pause_seconds
        while not self._created():
            if self._unanswered is None:
                found = self.api.get(self.name)
                if found is None:  # deleted in between
                    time.sleep(pause)
                elif self._adopted(found):
                    return
                continue
            wait = self._unanswered.retry_after_seconds or pause
            if time.monotonic() - started + wait > self.patience.progress_seconds:
                raise unanswered(self._unanswered, f"create {self.where}", self.patience.progress_seconds)
            time.sleep(wait)
            pause = min(2 * pause, self.patience.longest_pause_seconds)

    def _created(self) -> bool:
        """Whether it was created; not cut in two by SIGTERM, so that it is known what there is to delete."""
        self._attempted = True
        with self.termination.held():
            try:
                created = self.api.create(self._body)
            except TransientError as error:
                self._unanswered = error
                return False
            self._unanswered = None
        if created is not None:
            say(f"{self.where} is created: {self.nodes} nodes.")
        return created is not None

    def _adopted(self, found: dict[str, Any]) -> bool:
        """Whether a job of this name is taken up; what cannot be is deleted, where it is ours."""
        if not is_ours(found, self._body):
            self._attempted = False
            raise ConfigurationError(
                f"{self.where} is not of this run: it would be watched and deleted as if it were.",
                "Look at it with kubectl, and delete or rename it.",
            )
        if found["metadata"].get("deletionTimestamp"):
            self._wait_until_gone(found["metadata"]["uid"])
            return False
        state = ended(found)
        if is_same(found, self._body) and (state is None or state.succeeded):
            born = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
            self.seconds_before = max(0.0, (datetime.now(UTC) - born).total_seconds())
            say(f"{self.where} is there from an earlier attempt of this step: it is gone on with.")
            return True
        say(f"{self.where} is there from an earlier attempt, {'failed' if state else 'of other settings'}: made anew.")
        self.api.delete(self.name, found["metadata"]["uid"])
        self._wait_until_gone(found["metadata"]["uid"])
        return False

    def _wait_until_gone(self, uid: str) -> None:
        deadline = time.monotonic() + self.patience.deletion_seconds
        while (found := self.api.get(self.name)) is not None and found["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{self.where} was deleted {self.patience.deletion_seconds:.0f} s ago and is still there.",
                    "See what holds it: kubectl get trainjob -o yaml shows its finalizers.",
                )
            time.sleep(self.patience.first_pause_seconds)

    def delete(self, *, in_haste: bool = False) -> str:
        """Delete it with all its pods, if it was made; what could not be done, in words, empty if all was.

        Args:
            in_haste: after SIGTERM: it is asked for, and not waited for.
        """
        if not self._attempted:
            return ""
        limit = self.patience.termination_seconds if in_haste else self.patience.deletion_seconds
        deadline = time.monotonic() + limit
        try:
            found = self._found_to_delete(deadline)
            if found is None:
                return ""
            uid = found["metadata"]["uid"]
            self.api.delete(self.name, uid, max(0.0, deadline - time.monotonic()))
            if not in_haste:
                self._wait_until_gone(uid)
        except GanvasError as error:
            return (
                f"{error.message} It may still be there, until its activeDeadlineSeconds end it: "
                f"kubectl delete trainjob {self.name} -n {self.api.namespace}"
            )
        return ""

    def _found_to_delete(self, deadline: float) -> dict[str, Any] | None:
        """The job, if it is ours. Where its creation was not answered it may appear a moment later."""
        settled = time.monotonic() + (self.patience.request_seconds if self._unanswered else 0.0)
        while True:
            found = self.api.get(self.name, max(0.0, deadline - time.monotonic()))
            if found is not None:
                return found if is_ours(found, self._body) else None
            if time.monotonic() >= min(settled, deadline):
                return None
            time.sleep(self.patience.first_pause_seconds)
