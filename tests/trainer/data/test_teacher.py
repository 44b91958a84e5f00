"""Starting at another run's weights, and learning from its answers; neither lets a held-out picture in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from tests.conftest import OPTIONS, TINY
from tests.support.coloured_dataset import write_coloured
from tests.support.errors import assert_stderr_code
from trainer.recipe.recipe import COMMAND_LINE, parse_recipe, read_recipe

HEAD_ONLY = ("--head-epochs", "1", "--epochs", "0")
pytestmark = pytest.mark.tensorflow


class Fixed:
    """A network that gives the same answer to everything, of inputs 4 px wide."""

    input_shape = (None, 4, 4, 3)

    def __init__(self, answer: list[float]) -> None:
        self.answer = answer
        self.seen: tuple[int, ...] = ()

    def __call__(self, inputs: Any, *, training: bool) -> Any:
        assert not training
        self.seen = tuple(inputs.shape)
        return np.tile(np.array(self.answer, np.float32), (inputs.shape[0], 1))


def taught(share: float, offsets: tuple[float, ...] = (0.0,), side: int = 4) -> tuple[Any, Fixed]:
    import tensorflow as tf

    from trainer.data.batches import Teacher

    network = Fixed([0.2, 0.8])
    teacher = Teacher(networks=(network,), weights_sha256=("f" * 64,), share=share)
    targets = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    mixed = teacher.blend_targets(targets, tf.zeros([2, side, side, 3]), offsets=offsets)
    return mixed.numpy(), network


def test_a_target_is_partly_the_label_and_partly_the_teacher() -> None:
    mixed, _ = taught(0.5)
    np.testing.assert_allclose(mixed, [[0.6, 0.4], [0.1, 0.9]], atol=1e-6)


def test_a_teacher_answers_under_the_offsets_of_the_loss() -> None:
    mixed, _ = taught(1.0, offsets=(float(np.log(4.0)), 0.0))
    np.testing.assert_allclose(mixed, [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)


def test_a_teacher_sees_pictures_of_its_own_size() -> None:
    assert taught(0.5, side=8)[1].seen == (2, 4, 4, 3)


def run_of(coloured: Path, name: str, *options: str) -> Path:
    run = coloured.parent / name
    assert main(["train", str(coloured), "-o", str(run), *OPTIONS, *options]) == 0
    return run


def test_a_pupil_learns_from_its_teacher_and_its_record_names_it(trained: Path, coloured: Path) -> None:
    run = run_of(coloured, "pupil", "--teacher", str(trained), "--teacher-share", "0.5", "--epochs", "2")
    record = json.loads((run / "training.json").read_text())
    weights = json.loads((trained / "training.json").read_text())["weights_sha256"]
    assert record["recipe"]["teacher"] == {"sha256": weights}
    assert str(coloured.parent) not in (run / "training.json").read_text()


def test_without_a_share_a_teacher_changes_nothing(trained: Path, coloured: Path) -> None:
    alone = run_of(coloured, "alone", "--epochs", "2")
    beside = run_of(coloured, "ignored", "--teacher", str(trained), "--teacher-share", "0", "--epochs", "2")
    assert (alone / "weights.npz").read_bytes() == (beside / "weights.npz").read_bytes()


def test_a_training_begins_with_the_weights_of_a_run(trained: Path, coloured: Path) -> None:
    stay = ("--head-epochs", "0", "--epochs", "0")
    run = run_of(coloured, "begun", "--weights", str(trained), *stay)
    assert (run / "weights.npz").read_bytes() == (trained / "weights.npz").read_bytes()


def test_it_goes_on_at_another_size(trained: Path, coloured: Path) -> None:
    run = run_of(coloured, "larger", "--weights", str(trained), "--size", "32", *HEAD_ONLY)
    assert json.loads((run / "training.json").read_text())["network"]["size"] == 32


@pytest.mark.parametrize("option", ["--weights", "--teacher"])
def test_a_run_of_other_splits_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    other = tmp_path / "other"
    write_coloured(other, seed=1)
    assert main(["train", str(other), "-o", str(tmp_path / "run"), option, str(trained), *OPTIONS]) == 1
    assert_stderr_code(capsys.readouterr().err, "run-mismatch", f"{option} {trained}", other)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_network_is_refused(
    trained: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = ("--filters", "8,8", "--weights", str(trained))
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *OPTIONS, *wide]) == 1
    assert_stderr_code(capsys.readouterr().err, "weights-mismatch", f"--weights {trained}", "filters")


def test_a_teacher_of_other_labels_is_refused(
    trained: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = shutil.copytree(coloured, tmp_path / "dataset")
    record = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**record, "classes": [*record["classes"], "violet"]}))
    asked = ["train", str(dataset), "-o", str(tmp_path / "run"), *OPTIONS, "--teacher", str(trained)]
    assert main(asked) == 1
    assert_stderr_code(capsys.readouterr().err, "run-mismatch", f"--teacher {trained}", "violet")


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (HEAD_ONLY, "--epochs"),
        (("--fine-tune", "0"), "--epochs"),
        (("--fine-tune", "2", "--copies", "2"), "--copies 0"),
        (("--fine-tune", "2", "--augment", "none"), "--copies 0"),
    ],
)
def test_a_teacher_that_would_teach_nobody_is_refused(
    trained: Path,
    coloured: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    value: str,
) -> None:
    runs = ("--weights", str(trained), "--teacher", str(trained))
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *OPTIONS, *runs, *options]) == 1
    assert_stderr_code(capsys.readouterr().err, "conflicting-options", "--teacher", value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_is_refused(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--weights", "--teacher"):
        assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *TINY, option, str(tmp_path)]) == 1
        assert_stderr_code(capsys.readouterr().err, "run-not-found", tmp_path, "training.json")


def test_runs_in_a_recipe_are_found_beside_it(trained: Path) -> None:
    path = trained.parent / "recipe.toml"
    path.write_text(f'weights = "{trained.name}"\nteacher = "./{trained.name}"\n')
    recipe = read_recipe(path)
    assert recipe.weights == trained
    assert recipe.teacher == (trained,)
    assert parse_recipe({"teacher": ("none",)}, where=COMMAND_LINE, base=recipe).teacher == ()
    path.write_text(
        f'weights = "{trained.name}"\nteacher = ["{trained.name}"]\naverage = ["{trained.name}"]\n'
    )
    assert read_recipe(path).average == (trained,)


def test_several_teachers_answer_by_the_mean_of_their_probabilities() -> None:
    import tensorflow as tf

    from trainer.data.batches import Teacher

    networks = (Fixed([0.2, 0.8]), Fixed([0.6, 0.4]))
    teacher = Teacher(networks=networks, weights_sha256=("a", "b"), share=1.0)
    targets = tf.constant([[1.0, 0.0]])
    mixed = teacher.blend_targets(targets, tf.zeros([1, 4, 4, 3]), offsets=(0.0,))
    np.testing.assert_allclose(mixed.numpy(), [[0.4, 0.6]], atol=1e-6)
    assert teacher.fingerprint() == ["a", "b", 1.0]


def test_the_mean_of_the_weights_of_runs_is_a_run(trained: Path, coloured: Path) -> None:
    other = run_of(coloured, "other", "--weights", str(trained), "--head-epochs", "0", "--epochs", "1")
    stay = ("--head-epochs", "0", "--epochs", "0", "--average", str(other))
    mean = run_of(coloured, "mean", "--weights", str(trained), *stay)
    first, second, found = (dict(np.load(run / "weights.npz")) for run in (trained, other, mean))
    for name, values in found.items():
        np.testing.assert_allclose(values, (first[name] + second[name]) / 2, rtol=1e-5, atol=1e-6)
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    record = json.loads((mean / "training.json").read_text())
    weights = json.loads((other / "training.json").read_text())["weights_sha256"]
    assert record["recipe"]["average"] == {"sha256": weights}


def test_an_average_needs_another_run_to_begin_with(
    trained: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*OPTIONS, "--average", str(trained)]
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 1
    assert_stderr_code(capsys.readouterr().err, "missing-option", "--average")
    options += ["--weights", str(trained)]
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 1
    assert_stderr_code(capsys.readouterr().err, "conflicting-options", "--average")


def test_an_average_needs_runs_that_began_alike(
    trained: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = run_of(coloured, "elsewhere", "--epochs", "1", "--seed", "7")
    options = [*OPTIONS, "--weights", str(trained), "--average", str(other)]
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 1
    assert_stderr_code(capsys.readouterr().err, "run-mismatch", "--average")
