"""The Python API is the committed list of names; each is documented, and the examples of its page run."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.paths import REPOSITORY

PAGE = REPOSITORY / "docs" / "python-api.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Change this list only with an entry in CHANGELOG.md.
NAMES = [
    *("Answers", "Arch", "Bundle", "BundleFormat", "CheckOutcome", "Classifier", "Contract", "Conversion"),
    *("Dataset", "DatasetError", "DermpackError", "DuplicateSearch", "Evaluation", "InputError"),
    *(
        "MissingExtraError",
        "OutputError",
        "Picture",
        "PictureError",
        "Policy",
        "Quantization",
        "Recipe",
        "Run",
        "Split",
    ),
    *("TableError", "Verification", "Weights", "convert", "evaluate", "import_dataset"),
    *("open_classifier", "package", "predict", "prepare", "read_bundle", "read_contract", "read_dataset"),
    *("read_run", "train", "verify_bundle", "verify_export"),
]


@pytest.mark.parametrize(
    ("package", "names"), [("dermpack", NAMES), ("trainer", []), ("converter", []), ("benchmarks", [])]
)
def test_the_public_names_are_the_committed_ones(package: str, names: list[str]) -> None:
    assert importlib.import_module(package).__all__ == names


@pytest.mark.parametrize("package", ["dermpack", "trainer", "converter", "benchmarks"])
def test_every_package_is_typed(package: str) -> None:
    assert (REPOSITORY / package / "py.typed").is_file()
    data = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8").partition("[options.package_data]")[2]
    assert re.search(rf"^{package} = .*py\.typed", data, re.MULTILINE)


def test_every_name_is_described_in_a_table_of_the_page() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    described = set(re.findall(r"`(\w+)", " ".join(row.split(" | ")[0] for row in rows)))
    assert described == set(NAMES)


def test_the_import_loads_no_heavy_module() -> None:
    heavy = "{'numpy', 'PIL', 'tensorflow', 'click'}"
    program = f"import sys, dermpack; print(sorted({heavy}.intersection(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


@pytest.mark.tensorflow
def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "demo", "-o", "pictures", "--pictures", "120", "--size", "48", "-q"]) == 0
    examples = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(examples) == 8
    namespace: dict[str, object] = {}
    for example in examples:
        exec(example, namespace)
