"""Workers share the trials of a search, and lose or repeat none of them, whatever dies."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import read_dataset
from dermpack.errors import InputError
from tests.support import training_dataset as small_dataset
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.paths import REPOSITORY
from trainer.experiments.search.space import Choices, Range, Space
from trainer.experiments.search_report import (
    OPTIMISTIC,
    SEVERAL,
    Search,
    State,
    TrialRow,
    search_page,
    search_plots,
)
from trainer.fitting.events import Epoch, FitProgress
from trainer.recipe.recipe import Recipe, parse_recipe, read_recipe

optuna = pytest.importorskip("optuna")

SPACE = Space(
    dimensions=(Range(name="rate", low=1e-5, high=1e-2, log=True), Choices(name="batch", values=(8, 16, 32)))
)
# A worker in a process of its own; it lives for so many trials.
WORKER = """
import math, os, sys
from pathlib import Path
from tests.trainer.experiments.search.test_search import SPACE, opened
from trainer.experiments.search.workers import run_trials

folder, trials, lives, url = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
tried = []

def attempt(trial, values):
    tried.append(trial.number)
    if len(tried) > lives:
        os._exit(9)
    return (1 / (1 + abs(math.log10(values["rate"]) + 3)) + values["batch"] / 1000,)

study = opened(folder, url=url)
run_trials(study, SPACE, attempt, folder, trials=trials, deadline=math.inf, on_trial_end=lambda: None)
"""


class Killed(BaseException):
    """Stands for a process that ends at once."""


def opened(
    folder: Path,
    *,
    space: Space = SPACE,
    objective: str = "balanced_accuracy",
    seed: int = 0,
    url: str = "",
) -> Any:
    from trainer.experiments.search.space import Objective, SearchGoal
    from trainer.experiments.search.storage import open_trials, sqlite_url

    folder.mkdir(parents=True, exist_ok=True)
    wanted = SearchGoal(
        dataset=small_dataset.of_pictures(Path("/set"), []),
        base=Recipe(seed=seed),
        space=space,
        objective=Objective(objective),
    )
    return open_trials(wanted, url or sqlite_url(folder), "test", folder)


def worker(folder: Path, *, trials: int, lives: int = 1000, url: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(folder), str(trials), str(lives), url]
    return subprocess.Popen(command, cwd=REPOSITORY)


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


def test_workers_of_two_machines_share_a_journal_file(tmp_path: Path) -> None:
    """A folder of its own each: no lock of one is seen by the other."""
    url = f"journal:{tmp_path / 'trials.log'}"
    both = [worker(tmp_path / name, trials=12, url=url) for name in ("one", "other")]
    assert [of.wait() for of in both] == [0, 0]
    found = opened(tmp_path / "one", url=url).get_trials()
    assert all(time.time() - trial.user_attrs["alive"] < 600 for trial in found)
    assert 12 <= len(found) <= 13 and {trial.state.name for trial in found} == {"COMPLETE"}
    assert len({tuple(sorted(trial.params.items())) for trial in found}) == len(found)


def test_a_worker_elsewhere_is_dead_when_it_was_silent_for_long(tmp_path: Path) -> None:
    from trainer.experiments.search.storage import ORIGIN
    from trainer.experiments.search.workers import ALIVE, SILENT_S, WORKER

    study = opened(tmp_path)
    for silent_s in (SILENT_S + 60, SILENT_S - 60):
        trial = study.ask()
        SPACE.sample(trial)
        trial.set_user_attr(WORKER, "elsewhere")
        trial.set_user_attr(ALIVE, time.time() - silent_s)
    found = searched(tmp_path, by_rate, trials=3).get_trials()
    assert [of.state.name for of in found] == ["FAIL", "RUNNING", "COMPLETE", "COMPLETE"]
    assert found[2].params == found[0].params and found[2].user_attrs[ORIGIN] == 0


def test_a_worker_that_was_taken_for_dead_goes_on_with_another_trial(tmp_path: Path) -> None:
    """A laptop slept: when it wakes, its trial has been failed by another machine."""
    study = opened(tmp_path)

    def slept(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        if trial.number == 0:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            trial.set_user_attr("seconds", 1.0)
        return by_rate(trial, values)

    found = searched(tmp_path, slept, trials=2, study=study).get_trials()
    assert [of.state.name for of in found] == ["FAIL", "COMPLETE", "COMPLETE"]


def searched(
    folder: Path,
    attempt: Any,
    *,
    trials: int,
    study: Any = None,
    space: Space = SPACE,
    deadline: float = math.inf,
) -> Any:
    from trainer.experiments.search.workers import run_trials

    study = study or opened(folder)
    run_trials(study, space, attempt, folder, trials=trials, deadline=deadline, on_trial_end=lambda: None)
    return study


def by_rate(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
    del trial
    return (values["rate"],)


def by_figure(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
    del trial
    return (1 / (1 + abs(math.log10(values["rate"]) + 3)) + values["batch"] / 1000,)


def test_a_search_in_pieces_draws_what_one_in_a_row_draws(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", by_rate, trials=6).get_trials()
    for trials in (2, 4, 6):
        pieces = searched(tmp_path / "pieces", by_rate, trials=trials).get_trials()
    assert [trial.params for trial in pieces] == [trial.params for trial in whole]
    assert len({trial.params["rate"] for trial in whole}) == 6


def test_a_trial_that_cannot_be_trained_has_a_reason_and_the_others_continue(tmp_path: Path) -> None:
    def attempt(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        if trial.number == 1:
            raise InputError("/home/me/run", "loss is NaN", "Use a lower rate.", code="loss-not-finite")
        return by_rate(trial, values)

    found = searched(tmp_path, attempt, trials=4).get_trials()
    assert [trial.state.name for trial in found] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1].user_attrs["reason"] == "run: loss is NaN. Use a lower rate."


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


@pytest.mark.parametrize(("end", "is_given_up"), [(Killed, True), (KeyboardInterrupt, False)])
def test_values_that_kill_every_worker_are_given_up(
    tmp_path: Path, end: type[BaseException], is_given_up: bool
) -> None:
    seen: list[float] = []

    def fatal(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        seen.append(by_rate(trial, values)[0])
        raise end

    for _ in range(4):
        with pytest.raises(end):
            searched(tmp_path, fatal, trials=1)
    assert [rate == seen[0] for rate in seen] == [True, True, True, not is_given_up]


@pytest.mark.parametrize("when", ["before", "while drawing", "in training"])
def test_a_search_that_is_killed_gives_what_an_undisturbed_one_gives(tmp_path: Path, when: str) -> None:
    """More trials than those drawn at random, so that the results of the others guide the sampler."""
    from trainer.experiments.search.storage import RANDOM_TRIALS, order_trials
    from trainer.experiments.search.workers import RECIPE

    trials = RANDOM_TRIALS + 4
    tries = {2: 2, RANDOM_TRIALS + 1: 1, RANDOM_TRIALS + 2: 2}  # kills of the trials at these positions

    class Dying(Space):
        def sample(self, trial: Any) -> dict[str, Any]:
            position = order_trials(study.get_trials())[trial.number]
            if tries.get(position, 0) and when != "in training":
                tries[position] -= 1
                if when == "while drawing":
                    self.dimensions[0].sample(trial)
                raise Killed
            return super().sample(trial)

    def attempt(trial: Any, values: Mapping[str, Any]) -> tuple[float]:
        trial.set_user_attr(RECIPE, dict(values))
        position = order_trials(study.get_trials())[trial.number]
        if tries.get(position, 0):
            tries[position] -= 1
            raise Killed
        return by_figure(trial, values)

    whole = searched(tmp_path / "whole", by_figure, trials=trials).get_trials()
    study = opened(tmp_path / "killed")
    kills = 0
    while True:
        try:
            searched(
                tmp_path / "killed",
                attempt,
                trials=trials,
                study=study,
                space=Dying(dimensions=SPACE.dimensions),
            )
            break
        except Killed:
            kills += 1
    found = study.get_trials()
    positions = order_trials(found)
    complete = {positions[of.number]: of for of in found if of.state.name == "COMPLETE"}
    assert kills == 5 and sum(tries.values()) == 0
    assert [complete[of.number].params for of in whole] == [of.params for of in whole]
    assert [complete[of.number].values for of in whole] == [of.values for of in whole]


def moment(epoch: int, figure: float, *, name: str = "head") -> FitProgress:
    validation = {"balanced_accuracy": figure, "auroc": 0.5, "accuracy": 0.5, "loss": 1.0}
    ended = Epoch(number=epoch, loss=1.0, rate=0.1, validation=validation)
    return FitProgress(
        name=name, epoch=epoch, epochs=4, step=1, steps=1, pictures_per_s=1.0, remaining_s=0.0, ended=ended
    )


def test_a_trial_that_is_worse_than_most_at_the_same_epoch_is_given_up(tmp_path: Path) -> None:
    from trainer.experiments.search.workers import TrialPruner

    study = opened(tmp_path)
    heard: list[object] = []
    for _ in range(6):
        trial = study.ask()
        for step in range(1, 7):
            trial.report(0.8, step=step)
        study.tell(trial, 0.8)
    lone, watched = (
        TrialPruner(
            trial=study.ask(), figure="balanced_accuracy", head_epochs=4, prunes=prunes, on_event=heard.append
        )
        for prunes in (False, True)
    )
    for judge in (lone, watched):
        judge(moment(1, 0.4))  # too early to tell
    lone(moment(1, 0.4, name="fine-tuning"))
    with pytest.raises(optuna.TrialPruned):
        watched(moment(1, 0.4, name="fine-tuning"))
    assert study.get_trials()[-1].intermediate_values == {1: 0.4, 5: 0.4}
    assert study.get_trials()[-2].intermediate_values == {}
    assert len(heard) == 4


def test_no_trial_is_begun_after_the_time(tmp_path: Path) -> None:
    assert searched(tmp_path, by_rate, trials=5, deadline=-1.0).get_trials() == []


def test_another_search_of_the_same_name_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    other = Space(dimensions=(Choices(name="batch", values=(8, 16)),))
    with raises_code("output-mismatch", "study "):
        opened(tmp_path, space=other)


@pytest.mark.parametrize(
    ("url", "code", "shown"),
    [
        ("nonsense://me:secret@host/x", "cannot-open-storage", "nonsense://me:***@host/x"),
        ("sqlite://", "invalid-storage", "sqlite://"),
        ("sqlite:////nowhere/trials.db", "cannot-open-storage", "sqlite:////nowhere/trials.db"),
        ("journal:/nowhere/trials.log", "invalid-storage", "journal:/nowhere/trials.log"),
        ("journal:", "invalid-storage", "journal:"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_one_line_without_the_password(
    coloured: Path, tmp_path: Path, capsys: Any, url: str, code: str, shown: str
) -> None:
    options = ("--storage", url, "--quiet")
    assert main(["tune", str(coloured), "-o", str(tmp_path / "search"), *options]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, code, f"--storage {shown}")
    assert error.count("\n") == 1 and "secret" not in error


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("postgresql://me:secret@host/x", "psycopg", "'psycopg[binary]'"),
        ("postgresql+psycopg2://me:secret@host/x", "psycopg2", "psycopg2-binary"),
        ("mysql://me:secret@host/x", "MySQLdb", "mysqlclient"),
        ("mssql://me:secret@host/x", "pyodbc", "pyodbc"),
    ],
)
def test_a_missing_driver_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, package: str
) -> None:
    from trainer.experiments.search.storage import open_storage

    monkeypatch.setitem(sys.modules, module, None)
    shown = url.replace("secret", "***")
    with raises_code("missing-extra", f"--storage {shown}", module, f"pip install {package}"):
        open_storage(url)


def test_tables_that_another_machine_makes_at_this_moment_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.exc import ProgrammingError

    from trainer.experiments.search import storage as address

    tries: list[str] = []

    def made_by_two(url: str, **options: Any) -> str:
        tries.append(url)
        if len(tries) == 1:
            raise ProgrammingError("CREATE TYPE", options, Exception('relation "studies" already exists'))
        return "opened"

    monkeypatch.setattr(address, "RDBStorage", made_by_two)
    monkeypatch.setattr(address, "RETRIES_S", (0.0,))
    assert str(address.open_storage("postgresql://host/x")) == "opened" and len(tries) == 2


def test_a_storage_that_goes_away_ends_in_one_line(coloured: Path, tmp_path: Path) -> None:
    """Its tables vanish after the first trial was begun: SQLite then fails as a lost server does."""
    from trainer.experiments.search.space import Objective, SearchGoal
    from trainer.experiments.search.worker import tune

    base = parse_recipe({"arch": "scratch_cnn", "size": 28}, where="test")
    wanted = SearchGoal(
        dataset=read_dataset(coloured), base=base, space=SPACE, objective=Objective.BALANCED_ACCURACY
    )

    def emptied(event: object) -> None:
        del event
        with sqlite3.connect(tmp_path / "trials.db") as database:
            database.execute("DROP TABLE trial_user_attributes")

    url = f"sqlite:///{tmp_path / 'trials.db'}"
    with raises_code("connection-lost", f"--storage {url}"):
        tune(wanted, tmp_path / "search", trials=1, storage=url, on_event=emptied)


def test_a_full_disk_of_the_database_is_no_lost_server_and_the_same_call_goes_on(
    coloured: Path, tmp_path: Path
) -> None:
    """SQLite itself refuses pages above a number, as on a full disk."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from trainer.experiments.search.space import Objective, SearchGoal
    from trainer.experiments.search.worker import tune

    base = parse_recipe({"arch": "scratch_cnn", "size": 28}, where="test")
    wanted = SearchGoal(
        dataset=read_dataset(coloured), base=base, space=SPACE, objective=Objective.BALANCED_ACCURACY
    )
    pages = 0

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    event.listen(Engine, "connect", limit)
    try:
        for pages in (2, 9, 20, 24):  # noqa: B007 - `limit` reads it
            with raises_code("cannot-write", tmp_path / "search" / "tune.db"):
                tune(wanted, tmp_path / "search", trials=1, on_event=interrupt)
    finally:
        event.remove(Engine, "connect", limit)
    with pytest.raises(KeyboardInterrupt):  # the first trial is begun
        tune(wanted, tmp_path / "search", trials=1, on_event=interrupt)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://me:se@cr:et@host/x", "mysql://me:***@host/x"),
        ("postgresql://host:5432/x?user=me&password=secret", "postgresql://host:5432/x?user=me&password=***"),
        ("postgresql://me@host:5432/x", "postgresql://me@host:5432/x"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    from trainer.experiments.search.storage import hide_password

    assert hide_password(url) == shown


def test_a_folder_of_something_else_is_kept(coloured: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["tune", str(coloured), "-o", str(tmp_path)]) == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", tmp_path, ".dermpack-tune")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def row(number: int, state: State, values: Sequence[float] = (), **more: Any) -> TrialRow:
    drawn = {"rate": 10.0 ** -(number + 1), "batch": 8, "dense": ""}
    curve = {"1": 0.4, "2": 0.5 + number / 100}
    return TrialRow(
        number=number, state=state, drawn=drawn, values=tuple(values), curve=curve, seconds=61.0, **more
    )


def shown(*trials: TrialRow, best: tuple[int, ...], latency: bool = False) -> Search:
    return Search(
        name="<b>test</b>",
        dataset={"sha256": "0", "source": "small"},
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
    plots = search_plots(found)
    page = search_page(found, plots)
    assert set(plots) == {"history.png", "importance.png"}
    assert "ran out of memory" in page and "pruned" in page and "<b>test" not in page
    assert OPTIMISTIC in page


def test_two_objectives_have_a_front() -> None:
    trials = [row(at, State.COMPLETE, [0.5 + at / 10, 1.0 + at]) for at in range(3)]
    worse = row(3, State.COMPLETE, [0.5, 9.0])
    found = shown(*trials, worse, best=(2, 1, 0), latency=True)
    assert set(search_plots(found)) == {"history.png", "importance.png", "pareto.png"}
    assert SEVERAL in search_page(found, search_plots(found))


def test_a_search_without_an_end_has_a_page_too() -> None:
    found = shown(row(0, State.RUNNING), best=())
    assert search_plots(found) == {}
    assert "No trial is complete yet" in search_page(found, {})


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
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((folder / "tune.json").read_text("utf-8"))
    best = record["trials"][record["best"][0]]
    expected = parse_recipe(
        {**best["drawn"], "metric": "balanced_accuracy"}, where="test", base=read_recipe(recipe)
    )
    assert read_recipe(folder / "best.toml") == expected
    assert [trial["state"] for trial in record["trials"]] == ["complete", "complete"]
    assert str(tmp_path) not in (folder / "tune.json").read_text("utf-8")
    assert main(["tune", str(coloured), "-o", str(folder), *options]) == 0
    assert json.loads(capsys.readouterr().out) == record, "enough trials were there already"


@pytest.mark.tensorflow
def test_a_search_whose_trials_all_fail_prints_the_reason_even_with_quiet(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = shutil.copytree(coloured, tmp_path / "changed")
    picture, *others = sorted(changed.glob("*.png"))
    shutil.copy(others[-1], picture)  # each trial refuses it, as another picture than the imported one
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))
    assert main(tune_once(changed, tmp_path)) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "nothing-trained", "trial 0: ", picture.name)
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_full_disk_ends_the_search_and_the_same_command_repeats_the_trial(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.touch()  # a file: no picture can be prepared
    monkeypatch.setenv("DERMPACK_CACHE", str(cache))
    assert main(tune_once(coloured, tmp_path)) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "cannot-write", str(cache))
    assert error.count("\n") == 1
    cache.unlink()
    assert main([*tune_once(coloured, tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [(trial["number"], trial["state"]) for trial in record["trials"]] == [(0, "complete")]


def tune_once(dataset: Path, folder: Path) -> list[str]:
    """Return a command that runs one trial of a tiny network."""
    recipe = folder / "recipe.toml"
    recipe.write_text('arch = "scratch_cnn"\nsize = 28\nfilters = [4]\nepochs = 1\n', encoding="utf-8")
    options = ("--recipe", str(recipe), "--trials", "1", "--quiet")
    return ["tune", str(dataset), "-o", str(folder / "search"), *options]


@pytest.mark.tensorflow
def test_accuracy_is_searched_against_the_latency_of_the_int8_export(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, space, folder = tmp_path / "recipe.toml", tmp_path / "space.toml", tmp_path / "search"
    text = 'arch = "scratch_cnn"\nsize = 28\nepochs = 1\naugment = "none"'
    recipe.write_text(text, encoding="utf-8")
    space.write_text("filters = [[2], [16, 16]]\nbatch = [8, 16]", encoding="utf-8")
    options = ("--recipe", str(recipe), "--space", str(space), "--objective", "accuracy,latency")
    command = ["tune", str(coloured), "-o", str(folder), *options, "--trials", "2", "--json"]
    assert main(command) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["objectives"] == ["balanced_accuracy", "latency_ms"]
    assert [trial["state"] for trial in record["trials"]] == ["complete", "complete"]
    values = {trial["number"]: trial["values"] for trial in record["trials"]}
    assert all(0 <= accuracy <= 1 and 0 < latency < 1000 for accuracy, latency in values.values())
    # Of trials with equal values, which two short measurements can have, the front keeps one.
    front_values = {
        tuple(own) for own in values.values() if not any(better(other, own) for other in values.values())
    }
    assert sorted(tuple(values[number]) for number in record["best"]) == sorted(front_values)
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert "Accuracy and latency" in (folder / "tune.html").read_text("utf-8")
    assert json.loads((folder / "tune.json").read_text("utf-8")) == record
    files = {path.name for path in (folder / "recipes").iterdir()}
    assert files == {f"trial-{number}.toml" for number in record["best"]}
    front = [read_recipe(folder / "recipes" / f"trial-{number}.toml") for number in record["best"]]
    assert read_recipe(folder / "best.toml") == front[0]
    assert not list((folder / "trials").rglob("export")), "what was timed is removed"


def better(other: Sequence[float], own: Sequence[float]) -> bool:
    """Return whether `other` is better in one objective and no worse in the other."""
    return other != own and other[0] >= own[0] and other[1] <= own[1]
