"""Every formula of the numeric core and every rule of the gate is broken in small ways; its tests must notice each.

The rooms are models/objectives, models/metrics and models/diagnostics, the latents, mixtures and schedules, of
components/evaluate the two modules that make metrics.json (without the two functions that need an exported model, see
``EXPORTED``), and the rules: the gate's verdict and the promotion.

A mutant changes one place: a sign is flipped, + and - (or * and /) are exchanged, a term of a sum is dropped, mean and
sum are exchanged, a comparison is turned round, a constant is doubled (0 becomes 1). A rule answers with more than a
number, so no result of one is negated; instead True and False are exchanged, ``and`` and ``or`` too, one operand of
these is dropped, a condition is negated, and a comparison gains or loses its boundary. The mutant is written into a
copy of the package that has nothing else on its path, and the tests of its module run against that copy in a process of
their own, forked from one that has imported torch already. A mutant that all tests pass has survived; those that no
test can tell from the formula are listed below with the reason.

    make campaign NAME=mutations
    python -m tests.campaigns.mutations --room models/metrics --module bounds --only kl_parts --record FILE
    python -m tests.campaigns.mutations --room models/metrics --first 10
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = Path("tests/components/evaluate/test_measure_numbers.py")
TIMEOUT_SECONDS = 120
PYTEST_INI = "[pytest]\npythonpath = .\nfilterwarnings = error\naddopts = --import-mode=importlib\n"
PRELOADED = ("torch.autograd.gradcheck", "torch.distributions", "sympy", "onnxruntime", "pydantic", "PIL.Image")
"""What every child would import again; torch.testing itself imports sympy at its first comparison."""
COPIED = (
    "models",
    "components",
    "tests/models",
    "tests/golden",
    "tests/components/evaluate",
    "tests/components/promote",
)
EXPORTED = {"code", "measure"}
"""Functions that take a bundle: trained and exported models test them, for seconds each."""

EQUIVALENT = {
    (
        "unit_gradient_penalty",
        "1e-12 → 2e-12",
    ): "the floor that keeps a flat critic's root differentiable is any tiny one",
    ("_answer", "limit is None or not math.isfinite(limit) → not math.isfinite(limit)"): (
        "limits that are none are no questions; the type checker does not know"
    ),
    ("_smallest", "count > 8 → count < 8"): "both ways find the same; one of them is faster",
    ("_smallest", "8 → 16"): "both ways find the same; one of them is faster",
    ("noise_sigma", "0.0 → -0.0"): "a zero has no sign",
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
EDGED: dict[type[ast.cmpop], ast.cmpop] = {ast.Lt: ast.LtE(), ast.Gt: ast.GtE(), ast.LtE: ast.Lt(), ast.GtE: ast.Gt()}
DENIED: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
REDUCTIONS = {"mean": "sum", "sum": "mean"}


@dataclass(frozen=True)
class Room:
    """A package whose formulas are broken."""

    source: Path
    tests: Path
    """A folder with ``test_MODULE*.py`` for each, or one file for all."""
    modules: tuple[str, ...] = ()
    """These alone; else all."""
    rules: bool = False
    """Whether they decide, and are broken in their logic too."""

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
    Room(Path("models"), Path("tests/models"), ("latents", "mixtures")),
    Room(Path("models/steps"), Path("tests/models/steps"), ("schedules",)),
    Room(Path("components/evaluate"), NUMBERS, ("measure", "coding")),
    Room(Path("components/evaluate"), Path("tests/components/evaluate"), ("gate",), rules=True),
    Room(Path("components/promote"), Path("tests/components/promote"), ("rule",), rules=True),
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
    parser.add_argument("--first", type=int, metavar="N", help="of each function its first N mutants, as a sample")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    started = time.monotonic()
    rooms = [room for room in ROOMS if not arguments.room or str(room.source) in arguments.room]
    outcomes: list[tuple[Mutant, bool]] = []
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory).resolve()
        for folder in COPIED:
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "pytest.ini").write_text(PYTEST_INI)
        for room, module in [(one, name) for one in rooms for name in one.chosen(arguments.module)]:
            original = (ROOT / room.source / f"{module}.py").read_bytes()
            found = list(mutants_of(module, original, rules=room.rules))
            found = [mutant for mutant in _first(found, arguments.first) if _chosen(mutant, arguments.only)]
            outcomes.extend(zip(found, survivals(copy, room, module, found), strict=True))
    lines = report(outcomes, time.monotonic() - started)
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    failed = sum(survived and _reason(mutant) is None for mutant, survived in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


def mutants_of(module: str, source: bytes, *, rules: bool = False) -> Iterator[Mutant]:
    """Every mutant of every function and method of a module's source."""
    changes = _changes_of_rules if rules else _changes
    body = ast.parse(source).body
    functions = [*body, *(member for outer in body if isinstance(outer, ast.ClassDef) for member in outer.body)]
    for function in functions:
        if not isinstance(function, ast.FunctionDef) or function.name in EXPORTED:
            continue
        for node in _nodes(function):
            for place, replacement in changes(node):
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


def _changes_of_rules(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Expressions of a rule to replace, and by what."""
    if not isinstance(node, ast.Return):
        yield from _changes(node)
    match node:
        case ast.Constant(bool() as answer):
            yield node, ast.Constant(not answer)
        case ast.BoolOp(operator, values):
            yield node, ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            for place in range(len(values)):
                rest = values[:place] + values[place + 1 :]
                yield node, rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield node, operand
        case ast.Compare(left, [operator], [right]) if type(operator) in EDGED:
            yield node, ast.Compare(left, [EDGED[type(operator)]], [right])
        case ast.Compare(left, [operator], [right]) if type(operator) in DENIED:
            yield node, ast.Compare(left, [DENIED[type(operator)]], [right])


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


def survivals(copy: Path, room: Room, module: str, mutants: list[Mutant]) -> list[bool]:
    """Of each mutant of a module whether its tests pass.

    In a process of its own, which has imported from the copy what the module imports: only the module is new each time.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        _end_with(lambda: _break_each(copy, room, module, mutants, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        survived = [answer == 1 for answer in answers.read()]
    _, status = os.waitpid(process, 0)
    if status != 0:
        raise SystemExit(f"the mutants of {module} were not all tried")
    return survived


def _break_each(copy: Path, room: Room, module: str, mutants: list[Mutant], writer: int) -> int:
    """Writes a byte per mutant: 1 where it survives."""
    # A source of the same size and second would else be read from the mutant's before it.
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(copy)
    sys.path[:] = [str(copy), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    path = copy / room.source / f"{module}.py"
    original = path.read_bytes()
    _import_what_it_imports(".".join([*room.source.parts, module]), original)
    if mutants and not passes(copy, room, module):
        raise SystemExit(f"the tests of {module} fail before anything is changed")
    for mutant in mutants:
        path.write_bytes(mutant.source)
        survived = passes(copy, room, module)
        os.write(writer, bytes([survived]))
        print(f"{'SURVIVED' if survived else 'killed  '} {mutant.function}: {mutant.change}", flush=True)
    path.write_bytes(original)
    return 0


def _import_what_it_imports(module: str, source: bytes) -> None:
    """From the copy; nothing of it where one of these needs the module itself."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            importlib.import_module(node.module)
    own = [name for name in sys.modules if name.split(".")[0] in ("models", "components")]
    for name in own if module in own else []:
        del sys.modules[name]


def passes(copy: Path, room: Room, module: str) -> bool:
    """Whether the tests of a module pass against the copy as it stands now."""
    process = os.fork()
    if process == 0:
        _end_with(lambda: _run_tests(copy, room.source.parts[0], room.tests_of(copy, module)))
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return False  # a mutant that never ends is noticed
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1, 2):  # 2: the tests could not be collected, as where a module's own constants need the formula
        raise SystemExit(f"the tests of {module} could not run: exit code {code}")
    return code == 0


def _run_tests(copy: Path, package: str, tests: list[str]) -> int:
    """In the child: pytest's code; 3 where the package is not the copy's."""
    signal.alarm(TIMEOUT_SECONDS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    found = importlib.util.find_spec(package)
    if found is None or not Path(str(found.origin)).is_relative_to(copy):
        return 3
    return int(pytest.main(["-p", "no:randomly", "-p", "no:cacheprovider", "-x", "-q", *tests]))


def _end_with(work: Callable[[], int]) -> NoReturn:
    """Ends a forked process with the code of its work, without its parent's cleaning up."""
    code = 3
    try:
        code = work()
    except SystemExit as refused:
        print(refused, flush=True)
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


def _first(mutants: list[Mutant], most: int | None) -> list[Mutant]:
    """Of each function's mutants the first ones."""
    functions = dict.fromkeys(mutant.function for mutant in mutants)
    return [one for name in functions for one in [own for own in mutants if own.function == name][:most]]


def _chosen(mutant: Mutant, only: list[str]) -> bool:
    return not only or mutant.function in only


if __name__ == "__main__":
    sys.exit(main())
