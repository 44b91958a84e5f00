"""After Ctrl-C one line says what is left, and how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import click
import pytest

from dermpack.cli import (
    NOTHING_WRITTEN,
    InterruptedWorkError,
    TerminatedError,
    _interrupt_on_sigterm,
    _repeat_lost_interruptions,
    interruption_line,
    main,
)
from dermpack.cli.console import count_trained_runs, resumable
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code

HEARS = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background is deaf to it


def line_after(error: BaseException, left: str) -> str:
    with pytest.raises(InterruptedWorkError) as raised, resumable(Path("run"), lambda: left):
        raise error
    return interruption_line(raised.value)


def test_an_interruption_during_a_destructor_is_not_lost() -> None:
    class Ending:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TerminatedError), _interrupt_on_sigterm() as times, _repeat_lost_interruptions(times):
        Ending()
        threading.Event().wait(20)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_a_message_names_the_kept_work_and_how_to_resume_it(error: BaseException) -> None:
    line = line_after(error, "two epochs are kept")
    assert line == "interrupted: run: two epochs are kept; rerun the same command to resume"


def test_a_message_states_that_nothing_was_kept() -> None:
    line = line_after(KeyboardInterrupt(), "")
    assert line == "interrupted: run: nothing was written yet; the same command starts again"


def test_work_that_does_not_go_on_wrote_nothing() -> None:
    assert interruption_line(KeyboardInterrupt()) == NOTHING_WRITTEN


def test_only_the_outermost_work_prints_a_message() -> None:
    with pytest.raises(InterruptedWorkError, match="demo: 1 of 3"):  # noqa: SIM117 - one within the other
        with resumable(Path("demo"), lambda: "1 of 3 steps are done"):
            with resumable(Path("demo/run"), lambda: ""):
                raise KeyboardInterrupt


def test_several_trainings_count_what_is_whole_and_what_is_begun(tmp_path: Path) -> None:
    assert count_trained_runs(tmp_path, of="2 folds") == ""
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "training.json").touch()
    assert count_trained_runs(tmp_path, of="2 folds") == "1 of 2 folds are trained"
    (tmp_path / ".fold-2.partial").mkdir()
    assert count_trained_runs(tmp_path, of="2 folds").endswith(
        ", and the finished epochs of the next are kept"
    )


def test_an_unfinished_run_has_another_error_than_a_missing_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demo_dataset: Path
) -> None:
    (tmp_path / ".run.partial").mkdir()
    (tmp_path / ".run.partial" / "asked.json").touch()
    for name, code in (("run", "run-not-finished"), ("other", "model-not-found")):
        assert main(["evaluate", str(tmp_path / name), str(demo_dataset)]) == 1
        assert_stderr_code(capsys.readouterr().err, code, tmp_path / name)


@pytest.mark.tensorflow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_kept_and_goes_on(
    coloured: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    command = ["train", str(coloured), "-o", str(tmp_path / "run"), *TINY, "--epochs", "40"]
    with subprocess.Popen(
        [sys.executable, "-m", "dermpack", *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=HEARS,
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("everything 3/"))
        process.send_signal(stop)
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == 128 + stop
    assert last.startswith(f"interrupted: {tmp_path / 'run'}: all up to epoch ")
    assert last.endswith("(everything) is kept in .run.partial; rerun the same command to resume")
    assert main([*command, "--quiet"]) == 0
