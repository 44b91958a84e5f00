"""A study goes on after whatever stops it, and a recipe that fails is a row."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import Dataset, read_dataset
from dermpack.storage.shared_folders import lock_folder
from tests.support.errors import assert_stderr_code, raises_code
from trainer.data.array_file import read_arrays
from trainer.experiments.runner import changed_option, study_run
from trainer.experiments.study import MARKER, run_study
from trainer.experiments.study_file import StudyEntry, StudyPlan, find_study, read_study
from trainer.experiments.study_record import Study, StudyRow
from trainer.fitting.events import FitProgress
from trainer.recipe.recipe import Goal, parse_recipe
from trainer.runs.subprocess_training import PROBABILITIES, PreparingPictures, RecipeStarted

TINY = {"arch": "scratch_cnn", "size": 28, "filters": [4], "batch": 8, "rate": 0.005}


def entry(name: str, **options: Any) -> StudyEntry:
    return StudyEntry(name=name, recipe=parse_recipe({**TINY, **options}, where="test"))


def plan(*entries: StudyEntry) -> StudyPlan:
    return StudyPlan(name="tiny", metric=Goal.BALANCED_ACCURACY, base="plain", entries=entries)


def children() -> list[int]:
    """The processes that this one has started, and are there."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def training() -> list[int]:
    def command(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return ""

    return [pid for pid in children() if "subprocess_training" in command(pid)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The events of one call, and the record that it wrote."""

    events: tuple[object, ...]
    record: dict[str, Any]

    def moments(self) -> list[tuple[int, int]]:
        return [(of.epoch, of.epochs) for of in self.events if isinstance(of, FitProgress) and of.ended]

    def outcomes(self) -> list[str]:
        return [of.name for of in self.events if isinstance(of, StudyRow) and of.trained]


TINY_PLAN = plan(
    entry("twice", epochs=2, filters=[6]),
    entry("plain", epochs=1),
    replace(entry("absent"), lacks="the weights gone.h5 are not there"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The same study three times: its training is killed, then we are interrupted, then it ends."""

    folder: Path
    killed: Attempt
    interrupted: Attempt
    ended: Attempt


@pytest.fixture(scope="module")
def story(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder, dataset = tmp_path_factory.mktemp("study") / "study", read_dataset(coloured)

    def kill(moment: FitProgress) -> None:
        del moment
        for pid in training():
            os.kill(pid, signal.SIGKILL)

    def interrupt(moment: FitProgress) -> None:
        if moment.ended:
            raise KeyboardInterrupt

    def unbothered(moment: FitProgress) -> None:
        del moment

    attempts = (attempt(dataset, folder, disturb) for disturb in (kill, interrupt, unbothered))
    return Story(folder=folder, **dict(zip(("killed", "interrupted", "ended"), attempts, strict=True)))


def attempt(dataset: Dataset, folder: Path, disturb: Callable[[FitProgress], None]) -> Attempt:
    """Run the study; the disturbance comes while `twice` is trained."""
    events: list[object] = []

    def on_event(event: object) -> None:
        events.append(event)
        turn = [of.name for of in events if isinstance(of, RecipeStarted)][-1]
        if isinstance(event, FitProgress) and turn == "twice":
            disturb(event)

    try:
        run_study(dataset, TINY_PLAN, folder, also=[related(dataset)], on_event=on_event)
    except KeyboardInterrupt:
        events.append("interrupted")
    return Attempt(events=tuple(events), record=json.loads((folder / "study.json").read_text("utf-8")))


def related(dataset: Dataset) -> Dataset:
    """Another dataset by its name, with the same pictures."""
    from dermpack.dataset.manifest import write_dataset

    folder = dataset.folder.parent / "related"
    if not folder.exists():
        folder.mkdir()
        other = replace(dataset, folder=folder, root="../dataset", source="related")
        kept = tuple(other.pictures[:-1])
        write_dataset(replace(other, manifest=replace(other.manifest, pictures=kept)), folder)
    return read_dataset(folder)


@pytest.mark.tensorflow
def test_a_training_that_is_killed_is_a_row_with_its_reason_and_the_others_go_on(story: Story) -> None:
    recipes = story.killed.record["recipes"]
    assert "SIGKILL" in recipes["twice"]["failed"]
    assert "gone.h5" in recipes["absent"]["failed"]
    assert recipes["plain"]["tests"][0]["scores"]["n"] == 11
    assert story.killed.outcomes() == ["plain"]


@pytest.mark.tensorflow
def test_the_base_is_trained_first_and_the_rows_stand_as_in_the_file(story: Story) -> None:
    turns = [event.name for event in story.killed.events if isinstance(event, RecipeStarted)]
    assert turns == ["plain", "twice", "absent"]
    assert story.ended.record["order"] == ["twice", "plain", "absent"]


@pytest.mark.tensorflow
def test_an_interrupted_study_leaves_no_process_and_its_checkpoint(story: Story) -> None:
    assert story.interrupted.events[-1] == "interrupted"
    assert story.interrupted.moments() == [(1, 2)]
    assert not training()


@pytest.mark.tensorflow
def test_the_same_study_again_ends_with_a_whole_table(story: Story) -> None:
    record = story.ended.record
    assert story.ended.outcomes() == ["plain", "twice"]
    assert not any(isinstance(event, PreparingPictures) for event in story.ended.events)
    assert record["recipes"]["plain"] == story.killed.record["recipes"]["plain"]
    assert record["best"] in ("plain", "twice")
    assert record["waiting"] == []


@pytest.mark.tensorflow
def test_what_was_killed_and_interrupted_ends_like_an_undisturbed_training(
    story: Story, coloured: Path, tmp_path: Path
) -> None:
    from trainer.runs.run_folder import read_run
    from trainer.runs.train import train

    undisturbed = train(read_dataset(coloured), tmp_path / "run", TINY_PLAN.entries[0].recipe)
    assert read_run(story.folder / "runs" / "twice").weights_sha256 == undisturbed.weights_sha256


@pytest.mark.tensorflow
def test_a_row_has_its_costs_and_its_differences_to_the_base(story: Story) -> None:
    rows = story.ended.record["recipes"]
    twice, plain = rows["twice"], rows["plain"]
    assert twice["training_seconds"] > 0
    assert twice["parameters"] == 6 * 27 + 4 * 6 + 7 * 3  # a convolution, its norm, the head
    assert twice["size_bytes"] == (story.folder / twice["run"] / "weights.npz").stat().st_size
    assert twice["recipe"]["filters"] == [6]
    versus = twice["tests"][0]["versus_base"]
    by_hand = twice["tests"][0]["scores"]["accuracy"] - plain["tests"][0]["scores"]["accuracy"]
    assert versus["differences"]["accuracy"]["difference"] == pytest.approx(by_hand)
    assert plain["tests"][0]["versus_base"] is None


@pytest.mark.tensorflow
def test_other_datasets_are_tested_on_and_shared_pictures_are_said(story: Story) -> None:
    record = story.ended.record
    assert [of["source"] for of in record["datasets"]] == ["coloured", "related"]
    assert record["recipes"]["plain"]["tests"][1]["scores"]["n"] == record["datasets"][1]["counts"]["test"]
    assert record["datasets"][1]["notes"] == []


@pytest.mark.tensorflow
def test_a_study_names_nothing_of_this_machine(story: Story) -> None:
    for name in ("study.json", "study.md", "study.html"):
        assert str(story.folder.parent) not in (story.folder / name).read_text("utf-8")


@pytest.mark.tensorflow
def test_the_answers_are_those_that_evaluate_gives(story: Story, coloured: Path) -> None:
    from dermpack.dataset.manifest import Split
    from dermpack.evaluation.evaluate import predict
    from trainer.runs.run_folder import load_predictor

    dataset = read_dataset(coloured)
    place = study_run(story.folder, "twice")
    found = predict(load_predictor(place.run), dataset, split=Split.TEST).probabilities
    stored = read_arrays(place.answers(dataset, Split.TEST))[PROBABILITIES]
    np.testing.assert_allclose(stored, found, atol=1e-6)


@pytest.mark.tensorflow
def test_a_recipe_that_was_changed_is_refused_or_removed(story: Story, coloured: Path) -> None:
    place, other = study_run(story.folder, "plain"), entry("plain", epochs=5).recipe
    assert changed_option(place, entry("plain", epochs=1).recipe) == ""
    assert changed_option(place, other) == "epochs: 1, now 5"
    with raises_code("output-mismatch", "[recipes.plain]", "epochs: 1, now 5"):
        run_study(read_dataset(coloured), plan(entry("plain", epochs=5)), story.folder)
    assert place.is_trained


@pytest.fixture
def dataset(coloured: Path) -> Dataset:
    return read_dataset(coloured)


def absent_only(dataset: Dataset, folder: Path, **options: Any) -> Study:
    return run_study(dataset, plan(replace(entry("plain"), lacks="no weights")), folder, **options)


def test_a_study_of_nothing_but_failures_has_a_table_too(dataset: Dataset, tmp_path: Path) -> None:
    study = absent_only(dataset, tmp_path / "study")
    assert (study.best, study.rows[0].reason[:10]) == ("", "no weights")
    assert "| plain | – |" in (tmp_path / "study" / "study.md").read_text("utf-8")
    assert "was not trained" in (tmp_path / "study" / "study.html").read_text("utf-8")


def test_a_folder_of_something_else_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.txt").write_text("mine", encoding="utf-8")
    with raises_code("output-exists", tmp_path / "study"):
        absent_only(dataset, tmp_path / "study", overwrite=True)
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["mine.txt"]


def test_a_study_of_another_dataset_is_kept_unless_asked(dataset: Dataset, tmp_path: Path) -> None:
    absent_only(dataset, tmp_path / "study")
    (tmp_path / "study" / "runs" / "old").mkdir()
    other = replace(dataset, sha256="0" * 64)
    with raises_code("output-mismatch", tmp_path / "study"):
        absent_only(other, tmp_path / "study")
    absent_only(other, tmp_path / "study", overwrite=True)
    assert not (tmp_path / "study" / "runs" / "old").exists()


def test_two_studies_in_one_folder_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    absent_only(dataset, tmp_path / "study")
    with (
        lock_folder(tmp_path / "study", marker=MARKER),
        raises_code("in-use", tmp_path / "study"),
    ):
        absent_only(dataset, tmp_path / "study")


def quick(study: StudyPlan) -> Iterator[StudyEntry]:
    """The recipes of a study, each a minute's work or less: an epoch, small networks, random weights."""
    for entry in study.entries:
        small = {"epochs": 1, "head_epochs": 1, "head_copies": 1}
        size = entry.recipe.size if entry.recipe.arch.value == "scratch_cnn" else 96
        recipe = parse_recipe({**small, "weights": "none", "size": size}, where="test", base=entry.recipe)
        yield replace(entry, recipe=recipe)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["cifar10", "hmnist", "eczema", "lesions"])
def test_a_shipped_study_runs_on_generated_data_in_its_layout(name: str, tmp_path: Path) -> None:
    from tests.trainer.experiments.test_study_file import imported

    shipped = read_study(find_study(name))
    study = replace(shipped, entries=tuple(quick(shipped)))
    done = run_study(read_dataset(imported(name, tmp_path)), study, tmp_path / "study")
    assert [row.reason for row in done.rows] == [""] * len(done.rows)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_full_disk_ends_the_study_instead_of_failing_every_recipe(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, file = tmp_path / "cache", tmp_path / "plan.toml"
    cache.touch()  # a file: no picture can be prepared
    monkeypatch.setenv("DERMPACK_CACHE", str(cache))
    common = '[common]\narch = "scratch_cnn"\nsize = 28\nfilters = [4]\n'
    file.write_text(f"{common}[recipes.one]\n[recipes.other]\nrate = 0.005\n")
    assert main(["study", str(coloured), str(file), "-o", str(tmp_path / "out"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "cannot-write", str(cache))
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "study.json").exists(), "no row blames a recipe"


def test_a_study_without_any_trained_recipe_prints_the_reason_even_with_quiet(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[common]\nweights = "gone.h5"\n[recipes.one]\n[recipes.other]\nrate = 0.005\n')
    arguments = ["study", str(coloured), str(plan), "-o", str(tmp_path / "out"), "--quiet"]
    for more in ([], ["--json"]):
        assert main([*arguments, *more]) == 1
        shown = capsys.readouterr()
        assert_stderr_code(shown.err, "nothing-trained", "one: ", "other: ", "gone.h5")
        assert shown.err.count("\n") == 1
    assert json.loads(shown.out)["recipes"]["one"]["failed"]
