"""One browser for all pages of a process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, running_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running browser; without one the pages' looks stay unseen, which the reason of the skip says."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("There is no Chromium on the path (Debian: apt-get install chromium): pages are not looked at.")
    with running_chromium(executable, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
