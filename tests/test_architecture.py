"""Who may import whom, held as data; every syntax tree is walked, function bodies too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = ("dermpack", "trainer", "converter", "benchmarks")
TENSORFLOW = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
INTERPRETERS = ("tflite_runtime", "ai_edge_litert")
GROUND_FLOOR = (
    *("dermpack.manifest", "dermpack.presence", "dermpack.contract", "dermpack.pixels", "dermpack.pictures"),
    *(
        "dermpack.runtime",
        "dermpack.tflitefile",
        "dermpack.scores",
        "dermpack.evaluate",
        "dermpack.report",
        "dermpack.bundle",
    ),
    *("numpy", "PIL"),
)

# The longest matching prefix decides. Every room may import itself and what stands in ALWAYS.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "dermpack": (),
    "dermpack.__main__": ("dermpack.cli",),
    "dermpack.errors": (),
    "dermpack.caches": (),
    "dermpack.crew": (),
    "dermpack.files": (),
    "dermpack.lock": (),
    "dermpack.progress": (),
    "dermpack.manifest": (),
    "dermpack.presence": ("dermpack.manifest",),
    "dermpack.contract": (),
    "dermpack.pixels": ("numpy", "PIL"),
    "dermpack.pictures": ("numpy", "PIL"),
    "dermpack.scores": ("numpy", "dermpack.manifest"),
    "dermpack.runtime": ("numpy", "dermpack.contract", "dermpack.pixels", *INTERPRETERS),
    "dermpack.tflitefile": ("flatbuffers", "dermpack.contract", "ai_edge_litert"),
    "dermpack.evaluate": (
        *("numpy", "dermpack.manifest", "dermpack.presence", "dermpack.pixels", "dermpack.scores"),
    ),
    "dermpack.report": (
        *("numpy", "dermpack.scores", "dermpack.manifest", "dermpack.pixels"),
        *("matplotlib", "jinja2", "PIL"),
    ),
    "dermpack.verify": (
        *("dermpack.contract", "dermpack.runtime", "dermpack.tflitefile", "dermpack.evaluate"),
        *("dermpack.scores", "dermpack.manifest", "dermpack.pixels", "dermpack.pictures", "numpy", "PIL"),
    ),
    "dermpack.bundle": (
        *("dermpack.contract", "dermpack.runtime", "dermpack.pixels", "dermpack.pictures"),
        *("dermpack.tflitefile", "dermpack.report", "dermpack.scores", "dermpack.verify"),
        *("numpy", "PIL", "cryptography"),
    ),
    "dermpack.predict": (
        *("dermpack.contract", "dermpack.runtime", "dermpack.pixels", "dermpack.scores"),
        *("dermpack.tflitefile", "numpy"),
    ),
    "dermpack.cli": ("dermpack", "trainer", "converter", "benchmarks", "click", "rich"),
    "benchmarks": GROUND_FLOOR,
    "benchmarks.worker": ("numpy", *INTERPRETERS),
    "trainer.datasets": (*GROUND_FLOOR, "imagehash", "sklearn", "pandas"),
    "trainer.tune": (*GROUND_FLOOR, "trainer", "optuna", "sqlalchemy"),
    "trainer": (*GROUND_FLOOR, *TENSORFLOW, "trainer.datasets", "h5py", "tomllib", "tomli"),
    "converter": (*GROUND_FLOOR, *TENSORFLOW, "trainer.run", "trainer.feed", "trainer.fit"),
}
ALWAYS = (
    *("dermpack.errors", "dermpack.files", "dermpack.lock"),
    *("dermpack.progress", "dermpack.crew", "dermpack.caches"),
)
ONLY_INSIDE_FUNCTIONS = {
    "dermpack.report": ("matplotlib", "jinja2", "PIL"),
    "dermpack.cli": ("rich", "trainer", "converter", "benchmarks", "numpy", "PIL"),
}


def modules() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((HOUSE / room).rglob("*.py")):
            name = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(node: ast.AST, *, is_top: bool = True) -> Iterator[tuple[str, bool]]:
    """Each imported name below the node, and whether it is imported at the file's top."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, is_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield from ((f"{child.module}.{alias.name}", is_top) for alias in child.names)
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types_only(child)
        yield from imports(child, is_top=is_top and not late)


def is_for_types_only(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:` loads nothing when the program runs."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Name):
        return False
    return node.test.id == "TYPE_CHECKING" and not node.orelse


def rule_of(module: str, table: dict[str, tuple[str, ...]]) -> str | None:
    fitting = [rule for rule in table if module == rule or module.startswith(f"{rule}.")]
    return max(fitting, key=len, default=None)


def below(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in allowed)


def breaches(module: str, source: str) -> list[str]:
    """Every import of the source that the table does not allow the module."""
    rule = rule_of(module, MAY_IMPORT)
    assert rule is not None, f"{module} has no room"
    late = ONLY_INSIDE_FUNCTIONS.get(rule_of(module, ONLY_INSIDE_FUNCTIONS) or "", ())
    found = []
    for name, is_top in imports(ast.parse(source)):
        if name.partition(".")[0] in sys.stdlib_module_names or name == "dermpack.__version__":
            continue
        if not below(name, (*MAY_IMPORT[rule], *ALWAYS, rule)):
            found.append(f"{module} imports {name}")
        elif is_top and below(name, late):
            found.append(f"{module} imports {name} outside a function")
    return found


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_a_module_imports_only_what_its_room_allows(module: str, path: Path) -> None:
    assert breaches(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dermpack.manifest", "import numpy"),
        ("benchmarks.latency", "def f():\n    import tensorflow"),
        ("benchmarks.latency", "from trainer import run"),
        ("trainer.datasets.split", "import tensorflow as tf"),
        ("trainer.fit", "from converter import recipes"),
        ("converter.freeze", "from trainer.network import build"),
        ("dermpack.cli.data", "from trainer.datasets import check"),
        ("dermpack.report.page", "import matplotlib"),
        ("dermpack.pixels", "import tflite_runtime"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert breaches(module, source)
