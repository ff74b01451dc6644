"""Every formula of the numeric core and of the report's numbers is broken in small ways; its tests must notice each.

The rooms are models/objectives, models/metrics and models/diagnostics, and of components/evaluate the two modules that
make metrics.json (without the two functions that need an exported model, see ``EXPORTED``).

A mutant changes one place: a sign is flipped, + and - (or * and /) are exchanged, a term of a sum is dropped, mean and
sum are exchanged, a comparison is turned round, a constant is doubled (0 becomes 1). It is written into a copy of the
package that has nothing else on its path, and the tests of its module run against that copy in a process of their
own, forked from one that has imported torch already. A mutant that all tests pass has survived; those that no test
can tell from the formula are listed below with the reason.

    make campaign NAME=mutations
    python -m tests.campaigns.mutations --room models/metrics --module bounds --only kl_parts --record FILE
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = Path("tests/components/evaluate/test_measure_numbers.py")
TIMEOUT_SECONDS = 120
PYTEST_INI = "[pytest]\npythonpath = .\nfilterwarnings = error\naddopts = --import-mode=importlib\n"
PRELOADED = ("torch.autograd.gradcheck", "torch.distributions", "sympy", "onnxruntime", "pydantic", "PIL.Image")
"""What every child would import again; torch.testing itself imports sympy at its first comparison."""
EXPORTED = {"code", "measure"}
"""Functions that take a bundle: trained and exported models test them, for seconds each."""

EQUIVALENT = {
    (
        "unit_gradient_penalty",
        "1e-12 → 2e-12",
    ): "the floor that keeps a flat critic's root differentiable is any tiny one",
    ("_compared", "0 → 1"): "the seed of which rows are compared, where there are more than are",
    ("_compared", "1 → 2"): "any negative length means the one that is left",
    ("__call__", "1 → 2"): "any negative length means the one that is left",
    ("aggregate_posterior_kl", "math.nan → -math.nan"): "NaN has no sign",
    ("mutual_information", "math.nan → -math.nan"): "NaN has no sign",
    ("negative_log_likelihood", "1 → 2"): "any negative length means the one that is left",
    ("_likelihood", "0 → 1"): "mean and log-variance have one shape",
}
"""Survivors that compute the same: (function, change) → why."""

SWAPPED: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
}
TURNED: dict[type[ast.cmpop], ast.cmpop] = {ast.Lt: ast.Gt(), ast.Gt: ast.Lt(), ast.LtE: ast.GtE(), ast.GtE: ast.LtE()}
REDUCTIONS = {"mean": "sum", "sum": "mean"}


@dataclass(frozen=True)
class Room:
    """A package whose formulas are broken."""

    source: Path
    tests: Path
    """A folder with ``test_MODULE*.py`` for each, or one file for all."""
    modules: tuple[str, ...] = ()
    """These alone; else all."""

    def chosen(self, only: list[str]) -> list[str]:
        """Modules to break."""
        found = self.modules or sorted(path.stem for path in (ROOT / self.source).glob("*.py"))
        return [name for name in found if name != "__init__" and (not only or name in only)]

    def tests_of(self, copy: Path, module: str) -> list[str]:
        """Files in the copy."""
        tests = copy / self.tests
        return [str(tests)] if tests.is_file() else sorted(str(path) for path in tests.glob(f"test_{module}*.py"))


ROOMS = (
    Room(Path("models/objectives"), Path("tests/models/objectives")),
    Room(Path("models/metrics"), Path("tests/models/metrics")),
    Room(Path("models/diagnostics"), Path("tests/models/diagnostics")),
    Room(Path("components/evaluate"), NUMBERS, ("measure", "coding")),
)


@dataclass(frozen=True)
class Mutant:
    """One function with one place changed."""

    module: str
    function: str
    change: str
    source: bytes


def main() -> int:
    """Run the tests against every mutant; 0 where only equivalent ones survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="FUNCTION", help="these functions alone")
    parser.add_argument("--room", action="append", default=[], metavar="FOLDER", help="these packages alone")
    parser.add_argument("--module", action="append", default=[], metavar="NAME", help="these modules alone")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    started = time.monotonic()
    rooms = [room for room in ROOMS if not arguments.room or str(room.source) in arguments.room]
    outcomes: list[tuple[Mutant, bool]] = []
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory).resolve()
        for folder in ("models", "components", "tests/models", "tests/components/evaluate"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "pytest.ini").write_text(PYTEST_INI)
        for room, module in [(one, name) for one in rooms for name in one.chosen(arguments.module)]:
            path = copy / room.source / f"{module}.py"
            original = path.read_bytes()
            found = [mutant for mutant in mutants_of(module, original) if _chosen(mutant, arguments.only)]
            if found and not passes(copy, room, module):
                raise SystemExit(f"the tests of {module} fail before anything is changed")
            for mutant in found:
                path.write_bytes(mutant.source)
                outcomes.append((mutant, passes(copy, room, module)))
                print(f"{'SURVIVED' if outcomes[-1][1] else 'killed  '} {mutant.function}: {mutant.change}", flush=True)
            path.write_bytes(original)
    lines = report(outcomes, time.monotonic() - started)
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    failed = sum(survived and _reason(mutant) is None for mutant, survived in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


def mutants_of(module: str, source: bytes) -> Iterator[Mutant]:
    """Every mutant of every function and method of a module's source."""
    body = ast.parse(source).body
    functions = [*body, *(member for outer in body if isinstance(outer, ast.ClassDef) for member in outer.body)]
    for function in functions:
        if not isinstance(function, ast.FunctionDef) or function.name in EXPORTED:
            continue
        for node in _nodes(function):
            for place, replacement in _changes(node):
                change = f"{ast.unparse(place)} → {ast.unparse(replacement)}"
                yield Mutant(module, function.name, change, _spliced(source, place, replacement))


def _nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What a function's body is made of, in its order, without its docstring and its messages."""
    waiting: list[ast.AST] = list(reversed(function.body[1:] if ast.get_docstring(function) else function.body))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.JoinedStr):
            yield node
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Expressions to replace, and by what."""
    match node:
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.UnaryOp):
            yield value, ast.UnaryOp(ast.USub(), value)
        case ast.BinOp(left, operator, right) if type(operator) in SWAPPED:
            yield node, ast.BinOp(left, SWAPPED[type(operator)], right)
            if isinstance(operator, ast.Add | ast.Sub):
                yield node, left
                yield node, right if isinstance(operator, ast.Add) else ast.UnaryOp(ast.USub(), right)
        case ast.UnaryOp(ast.USub(), operand):
            yield node, operand
        case ast.Call(ast.Attribute(value, name), arguments, keywords) if name in REDUCTIONS:
            yield node, ast.Call(ast.Attribute(value, REDUCTIONS[name], ast.Load()), arguments, keywords)
        case ast.Compare(left, [operator], [right]) if type(operator) in TURNED:
            yield node, ast.Compare(left, [TURNED[type(operator)]], [right])
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            one = 1.0 if isinstance(number, float) else 1
            yield node, ast.Constant(2 * number if number else one)


def _spliced(source: bytes, node: ast.expr, replacement: ast.expr) -> bytes:
    """The source with the node's text replaced; the positions of ast count bytes."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    return source[:begin] + f"({ast.unparse(replacement)})".encode() + source[end:]


def passes(copy: Path, room: Room, module: str) -> bool:
    """Whether the tests of a module pass against the copy as it stands now."""
    process = os.fork()
    if process == 0:
        _run_tests(copy, ".".join([*room.source.parts, module]), room.tests_of(copy, module))
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return False  # a mutant that never ends is noticed
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        raise SystemExit(f"the tests of {module} could not run: exit code {code}")
    return code == 0


def _run_tests(copy: Path, module: str, tests: list[str]) -> None:
    """In the child: pytest against the copy; ends the process with pytest's code."""
    code = 3
    try:
        signal.alarm(TIMEOUT_SECONDS)
        # A source of the same size and second would else be read from the mutant's before it.
        sys.dont_write_bytecode = True
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.chdir(copy)
        sys.path[:] = [str(copy), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        tested = importlib.import_module(module)
        if Path(str(tested.__file__)).is_relative_to(copy):
            code = int(pytest.main(["-p", "no:randomly", "-p", "no:cacheprovider", "-x", "-q", *tests]))
    finally:
        os._exit(code)


def report(outcomes: list[tuple[Mutant, bool]], seconds: float) -> list[str]:
    """The Markdown lines."""
    killed = sum(not survived for _, survived in outcomes)
    equivalent = sum(survived and _reason(mutant) is not None for mutant, survived in outcomes)
    lines = [
        "# Mutants of the formulas",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {seconds:.0f} s; "
        f"`{' '.join(['python -m', __spec__.name, *sys.argv[1:]])}`",
        "",
        f"{len(outcomes)} mutants, {killed} killed, {equivalent} survived and are equivalent, "
        f"{len(outcomes) - killed - equivalent} survived unnoticed.",
        "",
        "| function | mutants | killed | survivors |",
        "|---|---|---|---|",
    ]
    for function in dict.fromkeys((mutant.module, mutant.function) for mutant, _ in outcomes):
        own = [pair for pair in outcomes if (pair[0].module, pair[0].function) == function]
        survivors = [f"`{mutant.change}`: {_reason(mutant) or 'NOT NOTICED'}" for mutant, survived in own if survived]
        lines.append(
            f"| {'.'.join(function)} | {len(own)} | {len(own) - len(survivors)} | {'; '.join(survivors) or 'none'} |"
        )
    return [*lines, ""]


def _reason(mutant: Mutant) -> str | None:
    return EQUIVALENT.get((mutant.function, mutant.change))


def _chosen(mutant: Mutant, only: list[str]) -> bool:
    return not only or mutant.function in only


if __name__ == "__main__":
    sys.exit(main())
