"""Every error has a code, and docs/troubleshooting.md explains exactly the codes that exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from dermpack.errors import DermpackError
from dermpack.imaging.rejection import Reason
from tests.support.paths import REPOSITORY

ROOT = REPOSITORY
PACKAGES = ("dermpack", "trainer", "converter", "benchmarks")
PAGE = ROOT / "docs/troubleshooting.md"
KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
CODE_CELL = re.compile(r"^\| `([^`|]+)` \|", re.MULTILINE)
BUILT_CODES = {*(f"picture-{reason.value}" for reason in Reason), "missing-extra"}  # not passed as literals
LEAST_ERRORS = 300  # fewer would mean that the search is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One parsed module."""

    file: str
    tree: ast.Module


@cache
def sources() -> tuple[Source, ...]:
    packages = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    paths = (*packages, ROOT / "tests/tools/arm_sysroot.py")  # "make arm" reports errors as the program does
    return tuple(
        Source(file=str(path.relative_to(ROOT)), tree=ast.parse(path.read_text(encoding="utf-8")))
        for path in paths
    )


def literal_codes() -> Iterator[tuple[str, str]]:
    """Yield each literal code and where it is: `code="…"` in a call, or the default of a parameter."""
    for source in sources():
        for node in ast.walk(source.tree):
            for value in code_values(node):
                for text in literals(value):
                    yield text, f"{source.file}:{value.lineno}"


def code_values(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
    if isinstance(node, ast.FunctionDef):
        defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        yield from (value for argument, value in defaults if argument.arg == "code" and value is not None)


def literals(value: ast.expr) -> Iterator[str]:
    """Yield the strings that an expression can be, as far as they are written in place."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from literals(value.body)
        yield from literals(value.orelse)


@cache
def error_classes() -> dict[str, ast.ClassDef]:
    """Return every subclass of DermpackError by its name, itself included."""
    classes = {
        node.name: node
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {DermpackError.__name__}
    while True:
        more = {name for name, node in classes.items() if name not in found and found & base_names(node)}
        if not more:
            return {name: classes[name] for name in found}
        found |= more


def base_names(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


def own_constructor(name: str) -> ast.FunctionDef | None:
    """Return the constructor of an error class that chooses its code itself."""
    if name == DermpackError.__name__:
        return None
    body = error_classes()[name].body
    return next((of for of in body if isinstance(of, ast.FunctionDef) and of.name == "__init__"), None)


def has_code(call: ast.Call) -> bool:
    return any(keyword.arg == "code" for keyword in call.keywords)


def is_super_constructor(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"


def described_codes() -> list[str]:
    return CODE_CELL.findall(PAGE.read_text(encoding="utf-8"))


def test_every_code_is_in_kebab_case() -> None:
    wrong = [f"{place}: {code}" for code, place in literal_codes() if not KEBAB_CASE.fullmatch(code)]
    assert wrong == []


def test_every_error_is_made_with_a_code() -> None:
    needing = {name for name in error_classes() if own_constructor(name) is None}
    calls = [
        (source.file, node)
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in needing
    ]
    assert len(calls) >= LEAST_ERRORS
    assert [f"{file}:{call.lineno}" for file, call in calls if not has_code(call)] == []


@pytest.mark.parametrize("name", sorted(name for name in error_classes() if own_constructor(name)))
def test_a_class_with_a_constructor_of_its_own_chooses_its_code(name: str) -> None:
    constructor = own_constructor(name)
    assert constructor is not None
    calls = [node for node in ast.walk(constructor) if is_super_constructor(node)]
    assert calls
    assert all(isinstance(call, ast.Call) and has_code(call) for call in calls)


def test_the_page_describes_every_code() -> None:
    described = set(described_codes())
    missing = {code: place for code, place in literal_codes() if code not in described}
    missing.update(dict.fromkeys(BUILT_CODES - described, "dermpack.errors"))
    assert missing == {}


def test_every_code_on_the_page_exists() -> None:
    existing = BUILT_CODES | {code for code, _ in literal_codes()}
    assert [code for code in described_codes() if code not in existing] == []


def test_no_code_has_two_rows() -> None:
    assert [code for code, count in Counter(described_codes()).items() if count > 1] == []
