"""After Ctrl-C one line says what is left, and how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import click
import pytest

from dermpack.cli import (
    NOTHING_WRITTEN,
    InterruptedWorkError,
    interruption_line,
    main,
)
from dermpack.cli.console import count_trained_runs, resumable
from dermpack.cli.signals import REPEAT_S, SignalError, interruptible
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code

HEARS = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background is deaf to it
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
PAUSE_S = 4 * REPEAT_S  # in it, a signal that is sent again arrives


def line_after(error: BaseException, left: str) -> str:
    with pytest.raises(InterruptedWorkError) as raised, resumable(Path("run"), lambda: left):
        raise error
    return interruption_line(raised.value)


def test_an_interruption_during_a_destructor_is_not_lost() -> None:
    class Ending:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SignalError), interruptible():
        Ending()
        threading.Event().wait(20)


@pytest.fixture
def default_sigint_handler() -> Iterator[None]:
    """The default handler, because a suite in the background ignores SIGINT."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Write the module `interrupted`, which can be imported in this test only."""
    (folder / "interrupted.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "interrupted", raising=False)


@SIGNALS
@pytest.mark.usefixtures("default_sigint_handler")
def test_an_import_ends_before_a_signal_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    text = f"import os, time\nos.kill(os.getpid(), {number})\ntime.sleep({PAUSE_S})\nENDED = True\n"
    write_module(tmp_path, monkeypatch, text)
    with pytest.raises(SignalError) as raised, interruptible() as signals:
        assert import_module("interrupted").ENDED
        threading.Event().wait(20)
    assert raised.value.number == number
    assert number in signals


@pytest.mark.usefixtures("default_sigint_handler")
def test_a_second_ctrl_c_interrupts_an_import_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os, signal, time\nfor _ in range(2): os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n"
    write_module(tmp_path, monkeypatch, text)
    with interruptible():
        with pytest.raises(SignalError):
            import_module("interrupted")
        threading.Event().wait(PAUSE_S)


def test_a_second_sigterm_waits_for_the_import_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        f"import os, time\nfor _ in range(2): os.kill(os.getpid(), 15); time.sleep({PAUSE_S})\nENDED = True\n"
    )
    write_module(tmp_path, monkeypatch, text)
    monkeypatch.setattr("dermpack.cli.signals.CLEANUP_S", 0.0)
    with pytest.raises(SignalError), interruptible():
        assert import_module("interrupted").ENDED
        threading.Event().wait(20)


def test_a_second_sigterm_of_gnu_timeout_does_not_interrupt_the_cleanup() -> None:
    cleaned_up = False
    with pytest.raises(SignalError), interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned_up = True
    assert cleaned_up


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("default_sigint_handler")
def test_a_signal_while_the_line_about_the_first_is_printed_keeps_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr("dermpack.cli.signals.CLEANUP_S", 0.0)
    monkeypatch.setattr("dermpack.cli._print_line", lambda *_: os.kill(os.getpid(), number))
    monkeypatch.setattr("dermpack.cli.program.main", lambda **_: os.kill(os.getpid(), number))
    assert main(["inspect", "model.tflite"]) == code


@SIGNALS
@pytest.mark.usefixtures("default_sigint_handler")
def test_a_signal_of_the_last_moment_does_not_interrupt_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_module(tmp_path, monkeypatch, f"import os\nos.kill(os.getpid(), {number})\n")
    with interruptible():
        import_module("interrupted")
    threading.Event().wait(PAUSE_S)


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
