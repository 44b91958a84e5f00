"""Every command that docs/studies.md shows is run, in order, and prints what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.readme_commands import Step, play, steps
from trainer.experiments.study_file import FOLDER, read_study

PAGE = REPOSITORY / "docs" / "studies.md"
FILE = re.compile(r"^```toml\n# (\S+\.toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIVE, WEIGHTS = "five.toml", "mobilenet_v2_0.35_224_no_top.h5"
FEW = {"tune": ("--trials", "1")}  # each is a process with TensorFlow: a test has no time for more


def written(folder: Path) -> None:
    """The TOML files of the page, where its commands look for them."""
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (folder / name).write_text(text, encoding="utf-8")


def is_five(step: Step) -> bool:
    return FIVE in step.arguments


@pytest.mark.pages
@pytest.mark.tensorflow
def test_the_page_on_studies_shows_true_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    for step in steps(PAGE):
        if not is_five(step):
            play(step, capfd, more=FEW.get(step.arguments[0], ()))
    for made in ("first/study.html", "folds/out-of-fold.csv", "search/best.toml", "fast/pareto.png"):
        assert (tmp_path / made).is_file()


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_study_of_five_recipes_runs_as_documented(
    demo_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import tf_keras

    (five,) = filter(is_five, steps(PAGE))
    shutil.copy(FOLDER / FIVE, tmp_path)
    network = tf_keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(96, 96, 3)
    )
    network.save_weights(tmp_path / WEIGHTS)
    monkeypatch.chdir(tmp_path)
    play(Step(command=five.command.replace(" dataset ", f" {demo_dataset} ")), capfd)
    assert "was not trained" not in (tmp_path / "study" / "study.md").read_text("utf-8")


def test_the_five_recipes_are_those_of_the_table(tmp_path: Path) -> None:
    """A CNN from nothing, plain and changed; MobileNetV2 by its head, its top 25 and its top 55 layers."""
    shutil.copy(FOLDER / FIVE, tmp_path)
    plan = read_study(tmp_path / FIVE)
    assert [entry.lacks for entry in plan.entries] == ["", "", *[f"weights file {WEIGHTS} not found"] * 3]
    assert [entry.recipe.fine_tune for entry in plan.entries] == [None, None, 0, 25, 55]
    assert [entry.recipe.dropout for entry in plan.entries[:2]] == [0, 0.2]
