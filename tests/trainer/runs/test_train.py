"""The command: from a dataset folder to a run folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.conftest import OPTIONS, TINY
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.paths import REPOSITORY
from trainer.fitting.events import FitProgress
from trainer.runs.run_folder import PartialRun

pytestmark = pytest.mark.tensorflow


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_same_command_gives_the_same_bytes(trained: Path, coloured: Path) -> None:
    run = coloured.parent / "again"
    assert main(["train", str(coloured), "-o", str(run), "--sensitivity", "red=0.9", *OPTIONS]) == 0
    assert files_of(run) == files_of(trained)


def test_another_seed_gives_other_weights(trained: Path, coloured: Path) -> None:
    run = coloured.parent / "seeded"
    assert main(["train", str(coloured), "-o", str(run), "--seed", "1", *OPTIONS]) == 0
    assert files_of(run)["weights.npz"] != files_of(trained)["weights.npz"]


def test_nothing_is_left_beside_a_run(trained: Path) -> None:
    assert not list(trained.parent.glob(f".{trained.name}*"))


def test_a_run_that_is_there_is_kept(
    trained: Path, coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(trained)
    assert main(["train", str(coloured), "-o", str(trained), *OPTIONS]) == 1
    assert_stderr_code(capsys.readouterr().err, "already-finished", trained)
    assert files_of(trained) == before


def test_json_contains_the_figures(coloured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = coloured.parent / "record"
    assert main(["train", str(coloured), "-o", str(run), "--json", *OPTIONS, "--epochs", "1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["validation"]) == {"n", "accuracy", "balanced_accuracy", "auroc", "ece"}
    assert [(phase["epochs"], phase["stop"]) for phase in record["phases"]] == [(1, "all epochs")]


def test_weights_are_checked_before_pictures_are_prepared_and_nothing_is_kept(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "weights.h5"
    weights.write_bytes(b"no HDF5")
    small = ("--arch", "mobilenet_v2", "--alpha", "0.35", "--size", "96", "--quiet")
    run = tmp_path / "run"
    assert main(["train", str(coloured), "-o", str(run), *small, "--weights", str(weights)]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-weights", weights)
    assert list(tmp_path.iterdir()) == [weights]


def test_a_network_that_does_not_look_is_called_by_its_name(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = alike(coloured, tmp_path / "dataset")
    options = (*OPTIONS[:-1], "--epochs", "1")
    assert main(["train", str(folder), "-o", str(tmp_path / "run"), *options]) == 0
    sentence = "no better than guessing: every answer is "
    assert sentence in capsys.readouterr().err
    assert sentence in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def alike(dataset: Path, folder: Path) -> Path:
    """The same dataset, but every picture shows the same."""
    from dataclasses import replace

    from dermpack.dataset.manifest import read_dataset, write_dataset

    shutil.copytree(dataset, folder)
    read = read_dataset(folder)
    one = read.pictures[0]
    for picture in read.pictures:
        (folder / picture.path).write_bytes((dataset / one.path).read_bytes())
    pictures = tuple(replace(picture, sha256=one.sha256) for picture in read.pictures)
    write_dataset(replace(read, manifest=replace(read.manifest, pictures=pictures)), folder)
    return folder


def test_a_resumed_training_reports_that_it_resumes(coloured: Path, tmp_path: Path) -> None:
    from dermpack.dataset.manifest import read_dataset
    from trainer.recipe.recipe import parse_recipe
    from trainer.runs.train import train

    names = [name.removeprefix("--").replace("-", "_") for name in TINY[::2]]
    recipe = parse_recipe(dict(zip(names, TINY[1::2], strict=True)), where="test")
    resumed: list[PartialRun] = []

    def stop(moment: FitProgress) -> None:
        if moment.ended and moment.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(read_dataset(coloured), tmp_path / "run", recipe, on_progress=stop)
    assert epoch_numbers(tmp_path / "run") == [("everything", 1)]
    train(read_dataset(coloured), tmp_path / "run", recipe, on_resume=resumed.append)
    assert resumed == [PartialRun(phase="everything", epochs=1, planned=6)]
    assert epoch_numbers(tmp_path / "run") == [("everything", number) for number in range(1, 7)]


def epoch_numbers(run: Path) -> list[tuple[str, int]]:
    """Return the finished epochs, as a search reads them from a trial that is repeated."""
    from trainer.runs.run_folder import read_epochs

    return [(phase, epoch.number) for phase, epoch in read_epochs(run)]


def test_an_unfinished_training_whose_removal_was_interrupted_is_started_again(tmp_path: Path) -> None:
    from trainer.runs.run_folder import open_partial_run, partial_folder

    checkpoint = partial_folder(tmp_path / "run") / "everything/checkpoint.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    with open_partial_run(tmp_path / "run", {"recipe": {}}, overwrite=False):
        assert not checkpoint.exists()


def test_the_training_of_a_killed_command_is_waited_for_until_it_has_ended(tmp_path: Path) -> None:
    from trainer.runs.run_folder import open_partial_run, partial_folder, wait_for_other_training

    program = f"""
import sys
from pathlib import Path
from trainer.runs.run_folder import open_partial_run
with open_partial_run(Path({str(tmp_path / "run")!r}), {{"recipe": {{}}}}, overwrite=False):
    print("locked", flush=True)
    sys.stdin.read(1)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        with raises_code("in-use"), open_partial_run(tmp_path / "run", {}, overwrite=True):
            pass
        wait_for_other_training(tmp_path / "run", most_s=0.0)  # not for ever
        other.kill()
        wait_for_other_training(tmp_path / "run", most_s=60.0)
    with open_partial_run(tmp_path / "run", {}, overwrite=True):
        assert partial_folder(tmp_path / "run").is_dir()


def test_a_backbone_trains_in_two_phases_from_activations(coloured: Path) -> None:
    from trainer.runs.run_folder import read_run

    run = coloured.parent / "phases"
    small = ("--arch", "mobilenet_v2", "--alpha", "0.35", "--size", "96", "--batch", "8", "--quiet")
    steps = ("--weights", str(_random_backbone(coloured.parent)), "--fine-tune", "25", "--copies", "2")
    epochs = ("--head-epochs", "2", "--epochs", "1")
    assert main(["train", str(coloured), "-o", str(run), *small, *steps, *epochs]) == 0
    assert [phase.name for phase in read_run(run).phases] == ["head", "fine-tuning"]


def _random_backbone(folder: Path) -> Path:
    import tf_keras

    path = folder / "backbone.h5"
    shape = (96, 96, 3)
    model = tf_keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=shape)
    model.save_weights(path)
    return path


@pytest.mark.parametrize(
    ("options", "code", "values"),
    [
        (("--sensitivity", "purple=0.9"), "unknown-label", ("--sensitivity purple",)),
        (("--arch", "vgg"), "invalid-option", ("--arch vgg", "mobilenet_v2")),
        (("--weights", "nowhere.h5"), "invalid-option", ("--weights nowhere.h5",)),
        (("--size", "27"), "invalid-option", ("--size 27",)),
        (("--head", "sigmoid"), "option-not-applicable", ("--head sigmoid", "3")),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(
    coloured: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, str],
    code: str,
    values: tuple[str, ...],
) -> None:
    run = tmp_path / "out" / "run"
    assert main(["train", str(coloured), "-o", str(run), *OPTIONS, *options]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, code, *values)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_class_without_training_pictures_is_named(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from dermpack.dataset.manifest import Split, read_dataset, write_dataset

    folder = tmp_path / "dataset"
    shutil.copytree(coloured, folder)
    dataset = read_dataset(folder)
    pictures = tuple(
        replace(picture, split=Split.TEST) if picture.label == "blue" else picture
        for picture in dataset.pictures
    )
    write_dataset(replace(dataset, manifest=replace(dataset.manifest, pictures=pictures)), folder)
    assert main(["train", str(folder), "-o", str(tmp_path / "run"), *OPTIONS]) == 1
    assert_stderr_code(capsys.readouterr().err, "label-without-pictures", folder, "'blue'")


def test_a_missing_picture_is_named(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "dataset"
    shutil.copytree(coloured, folder)
    (folder / "red-00.png").unlink()
    assert main(["train", str(folder), "-o", str(tmp_path / "run"), *OPTIONS]) == 1
    assert_stderr_code(capsys.readouterr().err, "pictures-missing", folder, "red-00.png")


def test_a_temperature_at_either_bound_is_explained() -> None:
    import numpy as np

    from dermpack.metrics.calibration import fit_temperature
    from dermpack.metrics.predictions import Predictions
    from trainer.runs.train import _remarks

    names = tuple(map(str, range(40)))
    sure = np.tile([[0.9, 0.1], [0.1, 0.9]], (20, 1))
    for truth, expected in ((np.arange(40) % 2, "too easy"), (1 - np.arange(40) % 2, "hardly informative")):
        predictions = Predictions(
            classes=("a", "b"), pictures=names, groups=names, truth=truth, probabilities=sure
        )
        (remark,) = _remarks(predictions, fit_temperature(predictions))
        assert expected in remark
