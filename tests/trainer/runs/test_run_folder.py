"""Run folders: what is in them, and that a broken one is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import Split, read_dataset
from dermpack.errors import InputError
from tests.support.errors import raises_code
from trainer.runs.run_folder import read_run

pytestmark = pytest.mark.tensorflow

Spoil = Callable[[dict[str, Any]], object]


def spoiled(trained: Path, tmp_path: Path, spoil: Spoil) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    path = folder / "training.json"
    record = json.loads(path.read_text())
    spoil(record)
    path.write_text(json.dumps(record))
    return folder


def test_a_run_reads_back_as_it_was_written(trained: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from trainer.runs.run_folder import write_run

    run = read_run(trained)
    write_run(replace(run, folder=tmp_path))
    assert (tmp_path / "training.json").read_bytes() == (trained / "training.json").read_bytes()


def test_a_run_names_its_dataset_and_nothing_of_this_machine(trained: Path, coloured: Path) -> None:
    run = read_run(trained)
    assert run.dataset == {"manifest_sha256": read_dataset(coloured).sha256, "path": "../dataset"}
    assert str(coloured.parent) not in (trained / "training.json").read_text()
    assert str(coloured.parent) not in (trained / "report.html").read_text()


def test_a_run_holds_plots_logs_and_a_page(trained: Path) -> None:
    assert (trained / "everything-loss.png").read_bytes().startswith(b"\x89PNG")
    assert (trained / "coverage.png").is_file()
    assert "not a medical device" in (trained / "report.html").read_text()
    assert list((trained / "logs").rglob("*tfevents*"))


def test_a_run_holds_what_was_fitted_on_validation(trained: Path) -> None:
    run = read_run(trained)
    assert [point.label for point in run.thresholds] == ["red"]
    assert run.thresholds[0].sensitivity >= 0.9
    assert run.validation["n"] == run.temperature.n == run.abstention.n
    assert run.abstention.coverage >= 0.9


def test_the_predictor_classifies_the_colours(trained: Path, coloured: Path) -> None:
    from trainer.runs.run_folder import load_predictor

    predictor = load_predictor(trained)
    dataset = read_dataset(coloured)
    tests = dataset.manifest.of(Split.TEST)
    found = predictor([dataset.file(picture) for picture in tests])
    truth = [predictor.classes.index(picture.label) for picture in tests]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == truth).mean() > 0.8


def test_no_files_give_no_rows(trained: Path) -> None:
    from trainer.runs.run_folder import load_predictor

    assert load_predictor(trained)([]).shape == (0, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.update(schema=9),
        lambda record: record.pop("classes"),
        lambda record: record["classes"].append("another"),
        lambda record: record["network"].update(size=1 << 40),
        lambda record: record["network"].update(arch="vgg"),
        lambda record: record.update(temperature=None),
        lambda record: record.update(policy="as it comes"),
        lambda record: record.update(phases=[{"name": 3}]),
    ],
)
def test_a_spoiled_record_is_refused_in_one_line(trained: Path, tmp_path: Path, spoil: Spoil) -> None:
    with pytest.raises(InputError):
        read_run(spoiled(trained, tmp_path, spoil))


def test_weights_of_another_run_are_refused(trained: Path, tmp_path: Path) -> None:
    folder = spoiled(trained, tmp_path, lambda record: record)
    weights = folder / "weights.npz"
    weights.write_bytes(weights.read_bytes() + b"x")
    with raises_code("weights-mismatch", weights, "training.json"):
        read_run(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with raises_code("run-not-found", tmp_path, "training.json"):
        read_run(tmp_path)


def test_a_run_is_evaluated_on_the_test_split_of_its_dataset(
    trained: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "predictions.csv"
    before = (trained / "training.json").read_bytes()
    assert main(["evaluate", str(trained), str(coloured), "--json", "--predictions", str(rows)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["n"], record["groups"], record["split"]) == (11, 11, "test")
    assert record["balanced_accuracy"] > 0.8
    assert "balanced_accuracy_ci95" in record
    assert len(rows.read_text(encoding="utf-8").splitlines()) == 12
    assert (trained / "training.json").read_bytes() == before


def test_an_evaluation_of_a_run_prints_nothing_of_tensorflow(trained: Path, coloured: Path) -> None:
    arguments = ["evaluate", str(trained), str(coloured)]
    code = "import sys; from dermpack.cli import main; sys.exit(main(sys.argv[1:]))"
    quiet = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code, *arguments, "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    assert done.stderr == ""
    assert json.loads(done.stdout)["n"] == 11


def test_a_page_describes_the_recipe_in_words(trained: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from trainer.runs.run_report import write_run_report

    run = read_run(trained)
    one_point = replace(run.abstention, curve=run.abstention.curve[-1:], threshold=0.999984)
    write_run_report(replace(run, folder=tmp_path, abstention=one_point, remarks=("a remark",)))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "{&#39;" not in page and "`" not in page and "a remark" in page
    assert "confidence below 0.99998 are" in page
    assert not (tmp_path / "coverage.png").exists()


def test_a_page_explains_a_calibration_error_that_the_temperature_raises(
    trained: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from trainer.runs.run_report import write_run_report

    run = read_run(trained)
    for after, is_explained in ((0.2, True), (0.1, False)):
        temperature = replace(run.temperature, ece_before=0.1, ece_after=after)
        write_run_report(replace(run, folder=tmp_path, temperature=temperature))
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert f"from 0.100 to {after:.3f}" in page
        assert ("error rises although the likelihood improves" in page) is is_explained
