"""Every public formula of models/objectives is broken in small ways, and its own tests must notice each one.

A mutant changes one place: a sign is flipped, + and - (or * and /) are exchanged, a term of a sum is dropped, mean and
sum are exchanged, a comparison is turned round, a constant is doubled (0 becomes 1). It is written into a copy of the
package that has nothing else on its path, and the tests of its module run against that copy in a process of their
own, forked from one that has imported torch already. A mutant that all tests pass has survived; those that no test
can tell from the formula are listed below with the reason.

    make campaign NAME=mutations
    python -m tests.campaigns.mutations --only discriminator_hinge --record docs/benchmarks/mutations.md
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
OBJECTIVES = Path("models/objectives")
TESTS = Path("tests/models/objectives")
TIMEOUT_SECONDS = 120
PYTEST_INI = "[pytest]\npythonpath = .\nfilterwarnings = error\naddopts = --import-mode=importlib\n"
PRELOADED = ("torch.autograd.gradcheck", "torch.distributions", "sympy")
"""What every child would import again; torch.testing itself imports sympy at its first comparison."""

EQUIVALENT = {
    (
        "unit_gradient_penalty",
        "1e-12 → 2e-12",
    ): "the floor that keeps a flat critic's root differentiable is any tiny one",
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
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    started = time.monotonic()
    modules = sorted(path.stem for path in (ROOT / OBJECTIVES).glob("*.py") if path.stem != "__init__")
    outcomes: list[tuple[Mutant, bool]] = []
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory).resolve()
        for folder in (Path("models"), TESTS):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "pytest.ini").write_text(PYTEST_INI)
        for module in modules:
            path = copy / OBJECTIVES / f"{module}.py"
            original = path.read_bytes()
            found = [mutant for mutant in mutants_of(module, original) if _chosen(mutant, arguments.only)]
            if found and not passes(copy, module):
                raise SystemExit(f"the tests of {module} fail before anything is changed")
            for mutant in found:
                path.write_bytes(mutant.source)
                outcomes.append((mutant, passes(copy, module)))
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
    """Every mutant of every public function of a module's source."""
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
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
            yield node, ast.Constant(2 * number if number else type(number)(1))


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


def passes(copy: Path, module: str) -> bool:
    """Whether the tests of a module pass against the copy as it stands now."""
    tests = sorted(str(path) for path in (copy / TESTS).glob(f"test_{module}*.py"))
    process = os.fork()
    if process == 0:
        _run_tests(copy, module, tests)
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
        tested = importlib.import_module(f"models.objectives.{module}")
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
