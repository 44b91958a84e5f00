"""Training with metadata: from a dataset folder to a run, resumed, and used without pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import Split, read_dataset
from dermpack.inference.metadata_rows import MetadataVariant, blank_row
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.known_patients import METADATA
from tests.trainer.runs.test_train import files_of
from trainer.fitting.events import FitProgress

pytestmark = pytest.mark.tensorflow

OPTIONS = (*TINY, *METADATA, "--rate", "0.005", "--epochs", "3")


@pytest.fixture(scope="module")
def run(patients: Path) -> Path:
    folder = patients.parent / "both"
    assert main(["train", str(patients), "-o", str(folder), "--quiet", *OPTIONS]) == 0
    return folder


def test_the_record_has_the_columns_as_they_were_fitted(run: Path) -> None:
    record = json.loads((run / "training.json").read_text(encoding="utf-8"))
    branch = record["network"]["metadata"]
    assert [column["name"] for column in branch["columns"]] == ["age", "sex", "localization"]
    assert branch["columns"][1]["categories"] == ["female", "male"]
    assert record["recipe"]["metadata_drop"] == 0.2


def test_a_training_that_was_interrupted_ends_with_the_same_bytes(patients: Path, run: Path) -> None:
    from trainer.recipe.recipe import parse_recipe
    from trainer.runs.train import train

    names = [name.removeprefix("--").replace("-", "_") for name in OPTIONS[::2]]
    recipe = parse_recipe(dict(zip(names, OPTIONS[1::2], strict=True)), where="test")
    folder = patients.parent / "resumed"

    def stop(moment: FitProgress) -> None:
        if moment.ended and moment.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(read_dataset(patients), folder, recipe, on_progress=stop)
    train(read_dataset(patients), folder, recipe)
    assert files_of(folder) == files_of(run)


def test_a_run_predicts_variants_of_the_metadata_of_the_same_pictures(patients: Path, run: Path) -> None:
    from dermpack.inference.metadata_rows import encode_split
    from trainer.runs.run_folder import load_predictor

    predictor, dataset = load_predictor(run), read_dataset(patients)
    files = [dataset.file(picture) for picture in dataset.manifest.of(Split.TEST)]
    rows = encode_split(dataset, Split.TEST, predictor.columns).rows
    blank = np.tile(blank_row(predictor.columns), (len(files), 1))
    variants = [MetadataVariant(rows=rows), MetadataVariant(rows=blank)]
    hidden = MetadataVariant(rows=blank, hides_picture=True)
    known, unknown, without = predictor.predict_variants(files, [*variants, hidden])
    np.testing.assert_array_equal(predictor(files), unknown)
    assert np.abs(known - unknown).max() > 1e-6
    # Without picture and metadata every answer is the same.
    np.testing.assert_allclose(without, np.tile(without[:1], (len(files), 1)), atol=1e-6)


def test_metadata_alone_is_trained_without_pictures(patients: Path) -> None:
    from trainer.runs.run_folder import read_run

    folder = patients.parent / "alone"
    alone = ("--arch", "metadata", *METADATA, "--epochs", "2", "--balance", "smotenc", "--quiet")
    assert main(["train", str(patients), "-o", str(folder), *alone]) == 0
    assert not read_run(folder).spec.has_picture


def test_the_head_is_trained_on_new_rows_of_features(patients: Path) -> None:
    from tests.trainer.runs.test_train import _random_backbone
    from trainer.runs.run_folder import read_run

    folder = patients.parent / "smote"
    small = ("--arch", "mobilenet_v2", "--alpha", "0.35", "--size", "96", "--batch", "8", "--quiet")
    weights = ("--weights", str(_random_backbone(patients.parent)))
    steps = ("--head-epochs", "2", "--epochs", "0", "--balance", "smote", *METADATA)
    assert main(["train", str(patients), "-o", str(folder), *small, *weights, *steps]) == 0
    assert [phase.name for phase in read_run(folder).phases] == ["head"]


@pytest.mark.parametrize(
    ("options", "code", "shown"),
    [
        (("--join", "gates"), "option-not-applicable", ("--join", "--metadata")),
        (("--metadata", "age,dx_type"), "column-leaks", ("--metadata dx_type",)),
        (("--metadata", "weight"), "unknown-column", ("--metadata weight", "age")),
        (("--metadata", "age,age"), "invalid-option", ("--metadata age,age",)),
        (("--balance", "smote"), "conflicting-options", ("--balance smote", "head phase")),
        (("--arch", "metadata"), "conflicting-options", ("--arch metadata",)),
    ],
)
def test_a_wrong_option_ends_in_one_line(
    patients: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, str],
    code: str,
    shown: tuple[str, ...],
) -> None:
    own: tuple[Any, ...] = ("--arch", "scratch_cnn", "--size", "28") if "--arch" not in options else ()
    assert main(["train", str(patients), "-o", str(tmp_path / "run"), "--quiet", *own, *options]) == 1
    assert_stderr_code(capsys.readouterr().err, code, *shown)


@pytest.mark.parametrize("weights", ["imagenet", "backbone.h5"])
def test_weights_of_a_backbone_are_refused_without_pictures(
    weights: str, patients: Path, tmp_path: Path
) -> None:
    from trainer.recipe.recipe import parse_recipe
    from trainer.runs.preflight import check_training

    (tmp_path / "backbone.h5").touch()
    given = weights if weights == "imagenet" else str(tmp_path / weights)
    values = {"arch": "metadata", "metadata": METADATA[1], "weights": given}
    with raises_code("option-not-applicable", "--weights"):
        check_training(
            read_dataset(patients), tmp_path / "run", parse_recipe(values, where="test"), overwrite=False
        )


def test_too_many_weights_of_metadata_are_refused(patients: Path, tmp_path: Path) -> None:
    from trainer.recipe.recipe import parse_recipe
    from trainer.runs.preflight import check_training

    values = {"arch": "metadata", "metadata": METADATA[1], "metadata_dense": "8192,8192,8192"}
    with raises_code("network-too-large", "134 million weights"):
        check_training(
            read_dataset(patients), tmp_path / "run", parse_recipe(values, where="test"), overwrite=False
        )
