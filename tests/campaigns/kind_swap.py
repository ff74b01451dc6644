"""What `make kind-test` does with the registry and the endpoint, without a cluster: `make campaign NAME=kind_swap`.

A real MLflow server, the endpoint with the overlay's own settings, tritonclient; half a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def main() -> int:
    """pytest's exit code."""
    return int(pytest.main([str(Path(__file__).parents[1] / "kind" / "swap_checks.py")]))


if __name__ == "__main__":
    sys.exit(main())
