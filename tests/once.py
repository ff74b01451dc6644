"""What a session's processes share, made by whichever of them needs it first."""

from __future__ import annotations

import fcntl
import functools
import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path


def made_once(place: Path, make: Callable[[Path], object]) -> Path:
    """A directory that ``make`` fills; who comes meanwhile waits for it, and what was left half made is made anew."""
    whole = place.with_name(f"{place.name}.whole")
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(place, ignore_errors=True)
            make(place)
            whole.touch()
    return place


def parse_operators_once(*, load: bool = False) -> None:
    """The ONNX exporter reads the sources of its five hundred operators for every graph: a second of two, each time.

    Args:
        load: the exporter, where it is not yet there.
    """
    name = "torch.onnx._internal.exporter._registration"
    if load:
        importlib.import_module(name)
    exporter = sys.modules.get(name)
    if exporter is None or not (load or "onnxscript" in sys.modules):
        return
    operators = exporter.onnxscript_apis
    if not hasattr(operators.get_torchlib_ops, "cache_info"):
        operators.get_torchlib_ops = functools.cache(operators.get_torchlib_ops)
