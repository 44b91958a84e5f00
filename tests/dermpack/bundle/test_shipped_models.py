"""The models in models/ match their cards, bundles and reports."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.bundle.golden_vectors import generate_golden_pictures
from dermpack.bundle.zip_archive import unpack_files
from dermpack.cli import main
from dermpack.contract import read_contract
from dermpack.imaging.preprocessing import prepare
from dermpack.synthetic.scenes import render
from tests.support.hostile_pictures import encoded
from tests.support.paths import REPOSITORY
from tests.tools.models_table import (
    BUNDLES,
    SEEDS_HEADER,
    THRESHOLDS_HEADER,
    exports,
    figure,
    points,
    shares,
    write,
)

MODELS = REPOSITORY / "models"
KEY = MODELS / "demonstration-key.pem"
NONE_YET = pytest.param(Path(), marks=pytest.mark.skip("models/ holds no model yet"), id="none")
FOLDERS = [pytest.param(folder, id=folder.name) for folder in exports(MODELS)] or [NONE_YET]
EACH = pytest.mark.parametrize("folder", FOLDERS)
MOST_BYTES = 60 << 20  # of all together: a clone should stay quick
MOST_BYTES_OF_FILE = {"lesions7-small": 750_000, "eczema": 4_000_000}
ABOUT_DATA = {  # of the name's first part: licence and authors, and the limits that a card tells
    "lesions7": (
        ("CC BY-NC 4.0", "Tschandl", "Rosendahl", "Kittler"),
        ("dermoscopic", "light skin", "phone"),
    ),
    "eczema": (("CC BY-NC-SA 3.0", "Groh", "DermaAmin"), ("Dark skin", "errors", "patients")),
}
LEVELS_APART = 2.0  # what decoders and encoders of one picture may differ by, on average
PLACES = re.compile(rb"(?<![\w.:/])/(?:tmp|home|root|work|Users|mnt)/")
PICTURE = re.compile(r"\.(png|jpe?g|webp|bmp|gif|tiff?)$", re.IGNORECASE)


def read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def bundle_of(folder: Path, kind: str) -> Path:
    return folder / f"{folder.name}-{kind}.zip"


def bundled(folder: Path, kind: str = "android") -> dict[str, bytes]:
    """Return the files below the folder of the module."""
    bundle = bundle_of(folder, kind)
    found = unpack_files(bundle.read_bytes(), where=bundle)
    return {name.partition("/")[2]: data for name, data in found.items()}


def shown(report: dict[str, Any], name: str) -> str:
    """Return a figure as a card shows it."""
    value, ends = report[name], report[f"{name}_ci95"]
    return f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})" if ends else f"{value:.3f}"


@EACH
def test_export_and_signed_bundles_verify_from_their_files_alone(folder: Path) -> None:
    assert main(["verify", str(folder), "--pictures", "4", "--quiet"]) == 0
    key = ["--key", str(KEY)] if find_spec("cryptography") else []  # the extra sign
    for kind in BUNDLES:
        assert main(["verify", str(bundle_of(folder, kind)), *key, "--pictures", "1", "--quiet"]) == 0


@EACH
@pytest.mark.parametrize("kind", BUNDLES)
def test_a_bundle_contains_model_contract_and_card_of_the_folder(folder: Path, kind: str) -> None:
    files = bundled(folder, kind)
    for name in ("model.tflite", "model.json", "MODEL_CARD.md"):
        (data,) = (data for path, data in files.items() if Path(path).name == name)
        assert data == (folder / name).read_bytes()


@EACH
def test_a_model_returns_evidence_and_distance_and_has_a_threshold(folder: Path) -> None:
    contract = read_contract(folder / "model.json")
    assert contract.evidence is not None
    assert contract.familiarity is not None
    wanted = {"eczema": "eczema"}.get(folder.name, "mel")
    assert [(each.label, each.wanted_sensitivity) for each in contract.thresholds] == [(wanted, 0.95)]


@EACH
def test_the_readme_lists_the_names_of_the_bundle_in_a_program(folder: Path) -> None:
    names = read_names(bundled(folder)["bundle.json"])
    row = f"| `{folder.name}` | `{names['slug']}` | `{names['class_name']}` |"
    assert row in (MODELS / "README.md").read_text(encoding="utf-8")


def read_names(data: bytes) -> dict[str, str]:
    names: dict[str, str] = json.loads(data)
    return names


@EACH
def test_card_and_notice_name_licence_and_authors(folder: Path) -> None:
    files = bundled(folder)
    owned, limits = ABOUT_DATA[folder.name.partition("-")[0]]
    for text in (files["MODEL_CARD.md"], files["NOTICE"], files["README.md"]):
        assert all(word in text.decode() for word in owned)
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "not for commerce" in card
    assert "not a medical device" in card
    assert all(word in card for word in limits)


@EACH
def test_the_figures_of_the_card_are_those_of_the_report(folder: Path) -> None:
    card, report = (folder / "MODEL_CARD.md").read_text("utf-8"), read(folder / "evaluation" / "report.json")
    assert report["model"]["sha256"] == read(folder / "model.json")["sha256"]
    assert (report["split"], report["dataset"]["sha256"]) == (
        "test",
        read(folder / "model.json")["parents"]["dataset"],
    )
    assert f"split test, n = {report['n']:,} pictures" in card
    assert f"| balanced accuracy | {shown(report, 'balanced_accuracy')} |" in card
    assert f"| AUROC | {shown(report, 'auroc')} |" in card
    for label, scores in report["per_class"].items():
        assert (
            f"| {label} | {scores['n']:,} | {shown(scores, 'recall')} | {shown(scores, 'precision')} |"
            in card
        )


@EACH
def test_the_times_of_the_card_are_those_of_the_benchmark(folder: Path) -> None:
    card, report = (folder / "MODEL_CARD.md").read_text("utf-8"), read(folder / "benchmark" / "report.json")
    assert [model["sha256"] for model in report["models"]] == [read(folder / "model.json")["sha256"]]
    assert report["targets"][0]["environment"]["processor"] in card
    assert all(f"| {result['threads']} | {result['median_ms']:.2f} (" in card for result in report["results"])


@EACH
def test_int8_loses_little_accuracy(folder: Path) -> None:
    """One point; where a picture of the rarest label is worth more, as the converter decides it then."""
    (accuracy,) = read(folder / "model.json")["accuracy"]
    lost = {figure["metric"]: -figure["difference"] for figure in accuracy["figures"]}
    counts = [
        n
        for n in read(folder / "evaluation" / "report.json")["dataset"]["counts"]["validation"].values()
        if n
    ]
    if 100 / (len(counts) * min(counts)) > 1:
        assert lost["auroc"] <= 0.005
        assert accuracy["agreement"] >= 0.95
    else:
        assert 100 * lost["balanced_accuracy"] <= 1


@EACH
def test_there_are_only_generated_pictures(folder: Path) -> None:
    assert [path.name for path in folder.rglob("*") if PICTURE.search(path.name)] == []
    page = (folder / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "Worst mistakes" not in page
    assert "image/jpeg" not in page
    side = read_contract(folder / "model.json").picture.width
    known = {
        picture.name: prepare(picture.data, side).astype(float) for picture in generate_golden_pictures(side)
    }
    found = {Path(name).name: data for name, data in bundled(folder).items() if PICTURE.search(name)}
    assert set(found) == set(known)
    for name, data in found.items():
        assert np.abs(prepare(data, side) - known[name]).mean() <= LEVELS_APART, name


@EACH
def test_no_file_contains_a_path_of_the_machine(folder: Path) -> None:
    plain = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".zip")
    files = {str(path): path.read_bytes() for path in plain}
    for kind in BUNDLES:  # the runtime of the web makes folders of its own in memory
        files |= {f"{kind}/{name}": data for name, data in bundled(folder, kind).items()}
    named = {name for name, data in files.items() if PLACES.search(data)}
    assert {name for name in named if not name.startswith("web/vendor/")} == set()


@EACH
def test_a_generated_picture_gets_an_answer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "picture.png").write_bytes(encoded(render(0, classes=7, size=300, seed=0), "PNG"))
    assert main(["predict", str(folder), str(tmp_path / "picture.png"), "--json", "--quiet"]) == 0
    output = json.dumps(json.loads(capsys.readouterr().out))
    assert any(f'"{label}"' in output for label in read(folder / "model.json")["labels"])


@EACH
def test_the_files_stay_small(folder: Path) -> None:
    limit = MOST_BYTES_OF_FILE.get(folder.name, MOST_BYTES)
    assert (folder / "model.tflite").stat().st_size <= limit


def test_the_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= MOST_BYTES


def test_figures_are_written_as_the_tables_have_them() -> None:
    assert figure({"a": 0.7153, "a_ci95": [0.64, 1.0]}, "a") == ".715 (.640 to 1.000)"
    assert figure({"a": 1.0, "a_ci95": None}, "a") == "1.000"
    assert points(-0.0042, [-0.011, 0.003]) == "-0.4 (-1.1 to +0.3)"
    assert shares(-0.0014, [-0.005, 0.001]) == "-.001 (-.005 to +.001)"


@EACH
def test_a_report_of_another_split_is_a_row_more(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("*.zip", "*.tflite.*"))
    page, seeds = tmp_path / "models" / "README.md", tmp_path / "models" / folder.name / "seeds"
    before = page.read_text(encoding="utf-8")
    for seed in ("11", "9"):
        (seeds / seed).mkdir(parents=True)
        shutil.copy(folder / "evaluation" / "report.json", seeds / seed)
        shutil.copy(folder / "model.json", seeds / seed)
    write(tmp_path / "models")
    after = page.read_text(encoding="utf-8")
    more = [line for line in after.splitlines() if line not in before.splitlines() and line.startswith("|")]
    rows = [line.strip("| ").split(" | ") for line in more]
    scores = [row[:2] for row in rows if len(row) == len(SEEDS_HEADER)]
    thresholds = [(row[0], row[2]) for row in rows if len(row) == len(THRESHOLDS_HEADER)]
    assert scores == [[folder.name, "9"], [folder.name, "11"]]
    assert thresholds == [(folder.name, "9"), (folder.name, "11")]
    write(tmp_path / "models")
    assert page.read_text(encoding="utf-8") == after


@EACH
def test_a_report_of_another_split_is_of_the_file_that_its_contract_is_of(folder: Path) -> None:
    for other in (folder / "seeds").glob("*"):
        report, contract = read(other / "report.json"), read(other / "model.json")
        assert report["model"]["sha256"] == contract["sha256"]
        assert report["dataset"]["options"]["seed"] == other.name
