"""Who may import whom, as data; every syntax tree is walked, function bodies too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

PACKAGES = ("dermpack", "trainer", "converter", "benchmarks")

# A folder may import itself and every folder that stands before it.
LAYERS = (
    *("dermpack.errors", "dermpack.progress"),
    *("dermpack.storage", "dermpack.processes"),
    "dermpack.contract",
    *("dermpack.dataset", "dermpack.imaging", "dermpack.metrics"),
    *("dermpack.tflite", "dermpack.inference", "dermpack.synthetic"),
    *("dermpack.reporting", "dermpack.evaluation"),
    "dermpack.verification",
    "dermpack.bundle",
    "dermpack.serving",
)
# What stands on the layers, and what else each of them may import.
ON_TOP: dict[str, tuple[str, ...]] = {
    "trainer.datasets": (),
    "trainer": (),
    "benchmarks": (),
    "benchmarks.worker": (),
    "converter": ("trainer.api",),
    "dermpack.cli": ("dermpack", "trainer", "converter", "benchmarks"),
    "dermpack.__main__": ("dermpack.cli",),
    "dermpack.api": ("dermpack", "trainer", "converter", "benchmarks"),
    "dermpack": ("trainer", "converter", "benchmarks"),
}
TENSORFLOW = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
WITH_TENSORFLOW = (
    *(
        "trainer.data",
        "trainer.model",
        "trainer.fitting",
        "trainer.runs",
        "trainer.distributed",
        "trainer._private",
    ),
    "converter",
)
# Library → the folders that may import it. numpy is allowed wherever NUMPY_FREE does not forbid it.
LIBRARIES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TENSORFLOW, WITH_TENSORFLOW),
    "tflite_runtime": ("dermpack.inference", "benchmarks.worker"),
    # The worker that measures a foreign float file needs every tensor, which no other host gives.
    "ai_edge_litert": ("dermpack.inference", "benchmarks.worker", "converter.quantize.litert_worker"),
    "litert_quantizer": ("converter.quantize.litert_worker",),
    "ai_edge_litert.schema_py_generated": ("dermpack.tflite", "converter"),
    "flatbuffers": ("dermpack.tflite",),
    "PIL": (
        *(
            "dermpack.imaging",
            "dermpack.reporting",
            "dermpack.synthetic",
            "dermpack.bundle",
        ),
        *("dermpack.verification", "trainer.datasets"),
    ),
    "pillow_heif": ("dermpack.imaging",),
    "matplotlib": ("dermpack.reporting", "benchmarks.report", "trainer.experiments"),
    "jinja2": ("dermpack.reporting",),
    "cryptography": ("dermpack.bundle",),
    "click": ("dermpack.cli",),
    "rich": ("dermpack.cli",),
    "h5py": ("trainer.model",),
    "imagehash": ("trainer.datasets",),
    "threadpoolctl": ("trainer.datasets",),  # comes with scikit-learn
    "cv2": ("trainer.datasets",),  # decodes nothing: its pixels come from dermpack.imaging
    "imblearn": ("trainer.data",),  # resamples the features of a network
    "sklearn": ("trainer.datasets",),
    "pandas": ("trainer.datasets",),
    "optuna": ("trainer.experiments",),
    "sqlalchemy": ("trainer.experiments", "dermpack.serving"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "anyio", "h11"), ("dermpack.serving",)),
    "pydantic": ("dermpack.serving",),  # the bodies of FastAPI
    "tomli": ("dermpack.storage",),
    "tomllib": ("dermpack.storage",),  # part of the standard library from Python 3.11 on
    "numpy": (*PACKAGES,),
}
NUMPY_FREE = (
    *("dermpack.errors", "dermpack.progress", "dermpack.storage", "dermpack.processes"),
    *("dermpack.contract", "dermpack.dataset"),
)
# Imports that take long, or that need an extra: only inside functions, so that `--help` is instant.
ONLY_INSIDE_FUNCTIONS = {
    "dermpack.reporting": ("matplotlib", "jinja2", "PIL"),
    "dermpack.api": ("trainer", "converter", "benchmarks", "numpy"),
    "dermpack.cli": ("rich", "trainer", "converter", "benchmarks", "numpy", "PIL", "dermpack.serving"),
}

# Only storage opens paths: what a user, a table or a record names may be a pipe, a device or of any size.
# These modules open others, which no input names.
OPEN_OWN_FILES = {
    **dict.fromkeys(
        ("dermpack.bundle.android_module", "dermpack.bundle.release_comparison"), "templates, class files"
    ),
    "dermpack.bundle.web.layout": "the page that is part of the package",
    "benchmarks.targets.emulated.emulator": "the list of wheels, and the system's files",
    "benchmarks.targets.host": "the logs of its own worker",
    "benchmarks.targets.ssh.ssh_target": "the script for the other machine, and files of its own folder",
    "benchmarks.worker.worker": "stands alone: the job that it was given, and the system's files",
    "dermpack.cli": "the null device",
    "dermpack.cli.build": "the table that the step before has written",
    "dermpack.cli.console": "the null device",
    "dermpack.imaging.decoding": "pictures, with the same checks as storage, and links are refused",
    "dermpack.processes.child_process": "the log of its own child",
    "dermpack.processes.limits": "the system's files",
    "dermpack.reporting.page": "the style sheet",
    "dermpack.synthetic.demo_folder": "a picture that it has generated",
    "trainer.data.prepared_cache": "the cache, whose files are checked by hash",
    "trainer.datasets.picture_features": "the model that is part of the package",
    "trainer.distributed.strategy": "the checkpoint that it has written",
    "trainer.experiments.search.workers": "the locks of a search",
    "trainer.runs.run_folder": "the identity of a training that it has begun",
}
OPENING = ("open", "read_text", "read_bytes", "fromfile", "loadtxt", "genfromtxt", "read_csv")
# Methods of these names that open no path: members of an archive.
NOT_PATHS = ("archive", "replies")


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


SOURCES = dict(modules())


def imports(node: ast.AST, *, is_top: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield each imported name below the node, and whether it is imported when the module is."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, is_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield from ((f"{child.module}.{alias.name}", is_top) for alias in child.names)
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types_only(child)
        yield from imports(child, is_top=is_top and not late)


def is_for_types_only(node: ast.AST) -> bool:
    """Return whether the node is `if TYPE_CHECKING:`, which loads nothing when the program runs."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Name):
        return False
    return node.test.id == "TYPE_CHECKING" and not node.orelse


def longest_prefix(name: str, prefixes: tuple[str, ...]) -> str | None:
    fitting = [prefix for prefix in prefixes if is_below(name, (prefix,))]
    return max(fitting, key=len, default=None)


def is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def may_import(module: str, name: str) -> bool:
    """Apply the tables to one import of a module or a name of the project."""
    if name == "dermpack.__version__" or is_below(name, (".".join(module.split(".")[:2]),)):
        return True
    layer = longest_prefix(module, LAYERS)
    if layer is not None:
        return is_below(name, LAYERS[: LAYERS.index(layer) + 1])
    top = longest_prefix(module, tuple(ON_TOP))
    assert top is not None, f"{module} has no place in LAYERS or ON_TOP"
    return is_below(name, (*LAYERS, *ON_TOP[top], top))


def may_use(module: str, name: str) -> bool:
    """Apply the tables to one import of a third-party library."""
    library = longest_prefix(name, tuple(LIBRARIES))
    if library is None or (library == "numpy" and is_below(module, NUMPY_FREE)):
        return False
    return is_below(module, LIBRARIES[library])


def breaches(module: str, source: str) -> list[str]:
    """Return every import of the source that the tables do not allow."""
    late = ONLY_INSIDE_FUNCTIONS.get(longest_prefix(module, tuple(ONLY_INSIDE_FUNCTIONS)) or "", ())
    found = []
    for name, is_top in imports(ast.parse(source)):
        root = name.partition(".")[0]
        if root in sys.stdlib_module_names:
            continue
        if not (may_import(module, name) if root in PACKAGES else may_use(module, name)):
            found.append(f"{module} imports {name}")
        elif is_top and is_below(name, late):
            found.append(f"{module} imports {name} outside a function")
    return found


def defined_names(tree: ast.Module) -> set[str]:
    """Return the names that a module defines itself, at its top level or below `if` and `try`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in SOURCES.items()])
def test_a_module_imports_only_what_its_folder_allows(module: str, path: Path) -> None:
    assert breaches(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dermpack.dataset.manifest", "import numpy"),
        ("benchmarks.statistics.latency", "def f():\n    import tensorflow"),
        ("benchmarks.statistics.latency", "from trainer.runs import run_folder"),
        ("trainer.datasets.splits.split", "import tensorflow as tf"),
        ("trainer.fitting.loop", "from converter.search import choose"),
        (
            "converter.sources.run_source",
            "from trainer.model.network import build",
        ),
        ("dermpack.cli.data", "from trainer.datasets import importer"),
        ("dermpack.reporting.page", "import matplotlib"),
        ("dermpack.imaging", "import tflite_runtime"),
        ("dermpack.metrics.intervals", "from dermpack.evaluation import evaluate"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert breaches(module, source)


def test_names_are_imported_from_the_module_that_defines_them() -> None:
    """Only a package's `__init__` and `api` modules re-export names."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
    own = {name: defined_names(tree) for name, tree in trees.items()}
    found = []
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.module not in own:
                continue
            if SOURCES[node.module].name in ("__init__.py", "api.py"):
                continue
            re_exported = {alias.name for alias in node.names} - own[node.module]
            found += [f"{module} imports {name} from {node.module}" for name in sorted(re_exported)]
    assert found == []


def test_a_class_name_is_defined_once() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def opened_paths(tree: ast.Module) -> list[str]:
    """Return every call that opens a path by itself, as `path.open()` and `open(path)` do."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id == "open":
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(function, ast.Attribute) and function.attr in OPENING:
            owner = function.value.id if isinstance(function.value, ast.Name) else ""
            if owner not in NOT_PATHS:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in SOURCES.items()])
def test_only_storage_opens_paths(module: str, path: Path) -> None:
    if is_below(module, ("dermpack.storage",)) or module in OPEN_OWN_FILES:
        return
    assert opened_paths(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_list_of_modules_that_open_their_own_files_is_current() -> None:
    trees = {module: ast.parse(SOURCES[module].read_text(encoding="utf-8")) for module in OPEN_OWN_FILES}
    assert [module for module, tree in trees.items() if not opened_paths(tree)] == []


@pytest.mark.parametrize(
    "source", ["open(path)", "path.open('rb')", "path.read_bytes()", "np.fromfile(path)", "os.open(path, 0)"]
)
def test_an_opened_path_is_seen(source: str) -> None:
    assert opened_paths(ast.parse(source))


def rewritten_by_autograph(tree: ast.Module) -> list[int]:
    """Return the lines that pass a function to tf.function or to a dataset, to be rewritten by AutoGraph."""
    lines = []
    plain = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any("autograph" in ast.unparse(d) for d in node.decorator_list)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_compiled = "tf.function" in (called, *map(ast.unparse, node.args[:1]))
        if is_compiled and "autograph" not in [keyword.arg for keyword in node.keywords]:
            lines.append(node.lineno)
        is_mapped = called.startswith("tf.data.") and called.endswith(".map")
        if is_mapped and ast.unparse(node.args[0]) not in plain:
            lines.append(node.lineno)
    return lines


def test_no_function_is_rewritten_by_autograph() -> None:
    """AutoGraph writes each function to TMPDIR, and prints warnings if the disk is full."""
    texts = {module: path.read_text(encoding="utf-8") for module, path in SOURCES.items()}
    found = {name: rewritten_by_autograph(ast.parse(text)) for name, text in texts.items() if "tf." in text}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "tf.function(f)",
        "compiled = partial(tf.function, jit_compile=True)",
        "tf.data.Dataset.range(9).map(f)",
    ],
)
def test_a_function_that_autograph_would_rewrite_is_seen(source: str) -> None:
    assert rewritten_by_autograph(ast.parse(source)) == [1]
