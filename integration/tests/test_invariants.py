"""The table of decision 0003: each of the store's ten invariants names the files whose tests hold it, and no others.

A Swift test holds an invariant by its name (`invariant 3: ...`), one of here by its mark (`@pytest.mark.invariant(3)`):
`swift test --filter 'invariant 3'`, `integration/run -m invariant`.
"""

import ast
import re
from pathlib import Path

import pytest

from ..program import ROOT

INVARIANTS = range(1, 11)
DECISION = Path(ROOT, "docs/decisions/0003-content-store.md")


def swift_tests():
    """(number, file's name) of every Swift test of an invariant."""
    found = set()
    for path in Path(ROOT, "Tests").rglob("*.swift"):
        for name in re.findall(r"func `(invariant \d[^`]*)`", path.read_text()):
            found |= {(int(number), path.stem) for number in re.findall(r"\binvariant (\d+)", name)}
    return found


def python_tests():
    """The same of the tests beside this file."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.invariant":
                    found.add((decorator.args[0].value, path.stem))
    return found


def table():
    """{number: the files that the decision names for it}."""
    rows = re.findall(r"^\| (\d+) [^|]*\|[^|]*\|([^|]*)\|([^|]*)\|$", DECISION.read_text(), re.MULTILINE)
    return {int(number): set(re.findall(r"`(\w+)`", swift + python)) for number, swift, python in rows}


@pytest.mark.parametrize("number", INVARIANTS)
def test_each_invariant_has_its_named_tests(number):
    held = {file for each, file in swift_tests() | python_tests() if each == number}
    assert held, "nothing holds it"
    assert table().get(number) == held, "the table of decision 0003 names other files"


def test_no_test_holds_an_invariant_that_there_is_not():
    assert {number for number, _ in swift_tests() | python_tests()} == set(table()) == set(INVARIANTS)
