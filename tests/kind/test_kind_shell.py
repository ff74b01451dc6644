"""Other programs' failures are one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kind import pins
from tests.kind.api_server import Api, running
from tests.kind.forward import forwarded
from tests.kind.kubectl import Kubectl
from tests.kind.shell import StepFailed, run


def test_what_a_program_prints_comes_back() -> None:
    assert run([sys.executable, "-c", "print('this')"], 60) == "this\n"


def test_a_failure_tells_the_code_and_the_last_words() -> None:
    program = "import sys; print('one\\ntwo\\nthree\\nfour', file=sys.stderr); sys.exit(3)"
    with pytest.raises(StepFailed, match="ended with code 3: two / three / four"):
        run([sys.executable, "-c", program], 60)
    assert run([sys.executable, "-c", program], 60, accepted=(0, 3)) == ""


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(StepFailed, match="took longer than 1 s"):
        run([sys.executable, "-c", "import time; time.sleep(600)"], 1)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(StepFailed, match="no-such-program is not installed"):
        run(["no-such-program"], 1)


def test_a_port_that_cannot_be_forwarded_is_told(tmp_path: Path) -> None:
    with running(Api()) as api:
        kubectl = Kubectl(api.kubeconfig(tmp_path))
        with (
            pytest.raises(StepFailed, match="No port of mlflow could be forwarded"),
            forwarded(kubectl, pins.MLFLOW),
        ):
            pass
