"""Workers share the trials of a search, and lose or repeat none of them, whatever dies."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from dermpack.errors import InputError
from dermpack.report.tune import Search, State, TrialRow
from dermpack.report.tune_page import tune_page
from dermpack.report.tune_plots import tune_plots
from trainer.recipe import Recipe, read_recipe, recipe_from
from trainer.tune.space import Choices, Range, Space
from trainer.watch import Epoch, Moment

optuna = pytest.importorskip("optuna")

SPACE = Space(
    dimensions=(Range(name="rate", low=1e-5, high=1e-2, log=True), Choices(name="batch", values=(8, 16, 32)))
)
# A worker in a process of its own; the third argument is how many trials it lives for.
WORKER = """
import math, os, sys
from pathlib import Path
from tests.trainer.test_tune import SPACE, opened
from trainer.tune.search import search

folder, trials, lives = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
tried = []

def attempt(trial, values):
    tried.append(trial.number)
    if len(tried) > lives:
        os._exit(9)
    return (1 / (1 + abs(math.log10(values["rate"]) + 3)) + values["batch"] / 1000,)

search(opened(folder), SPACE, attempt, folder, trials=trials, deadline=math.inf, ended=lambda trial: None)
"""


def opened(folder: Path, *, space: Space = SPACE, objective: str = "balanced_accuracy", seed: int = 0) -> Any:
    from trainer.tune.storage import Objective, open_trials, sqlite_url

    folder.mkdir(parents=True, exist_ok=True)
    asked, wanted = {"space": space.record()}, Objective(objective)
    return open_trials(sqlite_url(folder), "test", folder, objective=wanted, asked=asked, seed=seed)


def worker(folder: Path, *, trials: int, lives: int = 1000) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(folder), str(trials), str(lives)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def test_workers_that_share_a_search_and_die_lose_and_repeat_no_trial(tmp_path: Path) -> None:
    first, second = worker(tmp_path, trials=1000, lives=3), worker(tmp_path, trials=12)
    assert (first.wait(), second.wait()) == (9, 0)
    assert worker(tmp_path, trials=12).wait() == 0
    found = opened(tmp_path).get_trials()
    (dead,) = [trial for trial in found if trial.state.name == "FAIL"]
    complete = [trial for trial in found if trial.state.name == "COMPLETE"]
    assert len(complete) >= 12 and len(complete) + 1 == len(found)
    assert len({tuple(sorted(trial.params.items())) for trial in complete}) == len(complete)
    assert [trial.params for trial in complete if trial.user_attrs.get("origin") == dead.number] == [
        dead.params
    ]
    assert len({trial.user_attrs["worker"] for trial in found}) >= 2


def searched(
    folder: Path, attempt: Any, *, trials: int, study: Any = None, deadline: float = math.inf
) -> Any:
    from trainer.tune.search import search

    study = study or opened(folder)
    search(study, SPACE, attempt, folder, trials=trials, deadline=deadline, ended=unheard)
    return study


def unheard(trial: Any) -> None:
    del trial


def by_rate(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
    del trial
    return (values["rate"],)


def test_a_search_in_pieces_draws_what_one_in_a_row_draws(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", by_rate, trials=6).get_trials()
    for trials in (2, 4, 6):
        pieces = searched(tmp_path / "pieces", by_rate, trials=trials).get_trials()
    assert [trial.params for trial in pieces] == [trial.params for trial in whole]
    assert len({trial.params["rate"] for trial in whole}) == 6


def test_a_trial_that_cannot_be_trained_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    def attempt(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        if trial.number == 1:
            raise InputError("/home/me/run", "the loss is no longer a number", "take a lower rate")
        return by_rate(trial, values)

    found = searched(tmp_path, attempt, trials=4).get_trials()
    assert [trial.state.name for trial in found] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1].user_attrs["reason"] == "run: the loss is no longer a number; take a lower rate"


def test_an_interrupted_trial_is_tried_again_with_the_same_values(tmp_path: Path) -> None:
    def interrupted(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        del trial, values
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, interrupted, trials=2)
    first, again, other = searched(tmp_path, by_rate, trials=2).get_trials()
    assert (first.state.name, again.state.name, other.state.name) == ("FAIL", "COMPLETE", "COMPLETE")
    assert again.params == first.params != other.params
    assert again.user_attrs["origin"] == first.number


def test_values_that_kill_every_worker_are_given_up(tmp_path: Path) -> None:
    seen: list[float] = []

    def fatal(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        seen.append(by_rate(trial, values)[0])
        raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path, fatal, trials=1)
    assert [rate == seen[0] for rate in seen] == [True, True, True, False]


def moment(epoch: int, figure: float, *, name: str = "head") -> Moment:
    validation = {"balanced_accuracy": figure, "auroc": 0.5, "accuracy": 0.5, "loss": 1.0}
    ended = Epoch(number=epoch, loss=1.0, rate=0.1, validation=validation)
    return Moment(
        name=name, epoch=epoch, epochs=4, step=1, steps=1, pictures_per_s=1.0, remaining_s=0.0, ended=ended
    )


def test_a_trial_that_is_worse_than_most_at_the_same_epoch_is_given_up(tmp_path: Path) -> None:
    from trainer.tune.attempt import Judge
    from trainer.tune.search import Unpromising

    study = opened(tmp_path)
    heard: list[object] = []
    for _ in range(6):
        trial = study.ask()
        for step in range(1, 7):
            trial.report(0.8, step=step)
        study.tell(trial, 0.8)
    lone, watched = (
        Judge(trial=study.ask(), figure="balanced_accuracy", head_epochs=4, prunes=prunes, tell=heard.append)
        for prunes in (False, True)
    )
    for judge in (lone, watched):
        judge(moment(1, 0.4))  # too early to tell
    lone(moment(1, 0.4, name="fine-tuning"))
    with pytest.raises(Unpromising):
        watched(moment(1, 0.4, name="fine-tuning"))
    assert study.get_trials()[-1].intermediate_values == {1: 0.4, 5: 0.4}
    assert study.get_trials()[-2].intermediate_values == {}
    assert len(heard) == 4


def test_no_trial_is_begun_after_the_time(tmp_path: Path) -> None:
    assert searched(tmp_path, by_rate, trials=5, deadline=-1.0).get_trials() == []


def test_another_search_of_the_same_name_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    other = Space(dimensions=(Choices(name="batch", values=(8, 16)),))
    with pytest.raises(InputError, match="searches another dataset, recipe, space or objective"):
        opened(tmp_path, space=other)


def test_a_storage_that_cannot_be_opened_is_one_line(coloured: Path, tmp_path: Path, capsys: Any) -> None:
    options = ("--storage", "mysql://nowhere/x", "--quiet")
    assert main(["tune", str(coloured), "-o", str(tmp_path / "search"), *options]) == 1
    error = capsys.readouterr().err
    assert "error: --storage mysql://nowhere/x: cannot be opened" in error and error.count("\n") == 1


def test_a_folder_of_something_else_is_kept(coloured: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["tune", str(coloured), "-o", str(tmp_path)]) == 1
    assert "exists and holds no .dermpack-tune" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def row(number: int, state: State, values: Sequence[float] = (), **more: Any) -> TrialRow:
    drawn = {"rate": 10.0 ** -(number + 1), "batch": 8, "dense": ""}
    curve = {1: 0.4, 2: 0.5 + number / 100}
    return TrialRow(
        number=number, state=state, drawn=drawn, values=tuple(values), curve=curve, seconds=61.0, **more
    )


def shown(*trials: TrialRow, best: tuple[int, ...], latency: bool = False) -> Search:
    return Search(
        name="<b>test</b>",
        source="small",
        dataset_sha256="0",
        objectives=("balanced_accuracy", *(["latency_ms"] if latency else [])),
        space=SPACE.record(),
        left_out=("alpha",),
        base=Recipe().record(),
        best=best,
        importance={"rate": 0.75, "batch": 0.25} if best else {},
        trials=trials,
    )


def test_a_search_is_shown_with_history_importance_and_what_failed() -> None:
    failed = row(2, State.FAILED, reason="ran out of memory")
    found = shown(row(0, State.COMPLETE, [0.6]), row(1, State.PRUNED), failed, best=(0,))
    plots = tune_plots(found)
    page = tune_page(found, plots)
    assert set(plots) == {"history.png", "importance.png"}
    assert "ran out of memory" in page and "pruned" in page and "<b>test" not in page
    assert "flatter" in page


def test_two_objectives_have_a_front() -> None:
    trials = [row(at, State.COMPLETE, [0.5 + at / 10, 1.0 + at]) for at in range(3)]
    worse = row(3, State.COMPLETE, [0.5, 9.0])
    found = shown(*trials, worse, best=(2, 1, 0), latency=True)
    assert set(tune_plots(found)) == {"history.png", "importance.png", "pareto.png"}
    assert "None is better in both" in tune_page(found, tune_plots(found))


def test_a_search_without_an_end_has_a_page_too() -> None:
    found = shown(row(0, State.RUNNING), best=())
    assert tune_plots(found) == {}
    assert "No trial is complete yet" in tune_page(found, {})


@pytest.mark.tensorflow
def test_the_command_searches_and_its_best_recipe_can_be_trained(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, space = tmp_path / "recipe.toml", tmp_path / "space.toml"
    recipe.write_text(
        'arch = "scratch_cnn"\nsize = 28\nfilters = [4]\nepochs = 1\naugment = "none"', encoding="utf-8"
    )
    space.write_text("batch = [8, 16]\nbalance = ['none', 'prior']", encoding="utf-8")
    folder = tmp_path / "search"
    options = ("--recipe", str(recipe), "--space", str(space), "--trials", "2", "--json")
    assert main(["tune", str(coloured), "-o", str(folder), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((folder / "tune.json").read_text("utf-8"))
    best = told["trials"][told["best"][0]]
    expected = recipe_from(
        {**best["drawn"], "metric": "balanced_accuracy"}, where="test", base=read_recipe(recipe)
    )
    assert read_recipe(folder / "best.toml") == expected
    assert [trial["state"] for trial in told["trials"]] == ["complete", "complete"]
    assert str(tmp_path) not in (folder / "tune.json").read_text("utf-8")
    assert main(["tune", str(coloured), "-o", str(folder), *options]) == 0
    assert json.loads(capsys.readouterr().out) == told, "enough trials were there already"
