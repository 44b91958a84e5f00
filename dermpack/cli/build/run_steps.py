"""Run the steps of a build, and record in its folder which are finished, so that it can be resumed."""

from __future__ import annotations

import io
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from dermpack import __version__
from dermpack.cli import FailedWithResultError, program
from dermpack.cli.build.steps import BuildStep
from dermpack.cli.console import RESUME_HINT, Printer, resumable
from dermpack.errors import DermpackError, InputError, TableError
from dermpack.storage import files
from dermpack.storage.codec import decode, encode
from dermpack.storage.shared_folders import exclusive_lock

STATE_FILE = "steps.json"
LOCK_FILE = ".lock"
SCHEMA = 2
DECIMALS = 2  # of seconds
RESUMES = "After an interruption, rerun the same command to resume."


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What is known of a step: the key it ran with, its time over all attempts, and its result line."""

    key: tuple[str, ...]
    is_finished: bool = False
    is_stale: bool = False  # made from an earlier output of a step before it
    seconds: float = 0.0
    processor_seconds: float = 0.0
    printed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildState:
    """The steps that a build has begun, by name."""

    schema: int = SCHEMA
    dermpack: str = __version__
    steps: Mapping[str, StepRecord] = field(default_factory=dict)

    def with_step(self, name: str, record: StepRecord) -> BuildState:
        return replace(self, steps={**self.steps, name: record})


# Called before each step, with its number; and with what an earlier build recorded if it is skipped.
StepReporter = Callable[[int, BuildStep, StepRecord | None], None]


@contextmanager
def open_build(folder: Path, *, overwrite: bool) -> Iterator[BuildState]:
    """Lock the folder and yield what an earlier build of this version finished in it.

    Raise OutputError for a folder that is neither empty nor of a build, and while another build uses it.
    """
    files.check_output_folder(folder, marker=STATE_FILE, overwrite=True)
    path = folder / STATE_FILE
    if not path.is_file():
        # Written before anything else: without it, the folder of a killed build would be refused.
        with files.report_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        _write_state(path, BuildState())
    with exclusive_lock(folder / LOCK_FILE, where=folder):
        # The steps of another version could have written other files.
        state = BuildState() if overwrite else read_state(path)
        yield state if state.dermpack == __version__ else BuildState()


def read_state(path: Path) -> BuildState:
    """Return the recorded state of a build."""
    try:
        state = decode(BuildState, files.read_json(path))
        if state.schema != SCHEMA:
            raise ValueError(f"schema {state.schema}")
    except ValueError as error:
        what = f"invalid format (not the steps of a build: {error})"
        hint = "Add --overwrite to start again, or choose another output."
        raise TableError(path, what, hint, code="invalid-format") from error
    return state


def run_build(
    folder: Path, steps: Sequence[BuildStep], state: BuildState, *, overwrite: bool, printer: Printer
) -> BuildState:
    """Run the steps and report each on stderr; after Ctrl-C, print how far the build is."""

    def progress() -> str:
        done = sum(record.is_finished for record in read_state(folder / STATE_FILE).steps.values())
        is_training = any(folder.glob(".*.partial"))
        epochs = ", and the finished epochs of the training are kept" if is_training else ""
        return f"{done} of {len(steps)} steps are done{epochs}"

    printer.note(f"{len(steps)} steps into {folder}; the training takes longest. {RESUMES}")
    # With --overwrite, the finished steps would run again.
    hint = f"{RESUME_HINT} (without --overwrite)" if overwrite else RESUME_HINT
    try:
        with resumable(folder, progress, hint=hint):
            report = step_reporter(len(steps), printer)
            return run_steps(folder, steps, state, overwrite=overwrite, quiet=printer.quiet, report=report)
    except DermpackError:
        printer.note(RESUMES)
        raise


def step_reporter(count: int, printer: Printer) -> StepReporter:
    """Return a callback that prints the number, the title and the command of each step on stderr."""

    def report(number: int, step: BuildStep, record: StepRecord | None) -> None:
        head = f"{number}/{count} {step.title}"
        if record is not None:
            printer.styled(f"{head}: done before, in {record.seconds:.0f} s", "dim")
            return
        printer.styled("", "")
        printer.styled(head, "bold")
        printer.styled(f"$ dermpack {shlex.join(step.arguments)}", "dim")

    return report


def run_steps(
    folder: Path,
    steps: Sequence[BuildStep],
    state: BuildState,
    *,
    overwrite: bool,
    quiet: bool,
    report: StepReporter,
) -> BuildState:
    """Run each step that is not finished, and every step after it; return what was recorded of all."""
    for number, step in enumerate(steps, start=1):
        before = state.steps.get(step.name)
        has_output = step.output is not None and step.output.exists()  # a check has none and always runs
        if has_output and before is not None and before.is_finished and before.key == step.key:
            report(number, step, before)
            continue
        if step.output is not None:  # the following steps will read another output
            for following in steps[number:]:
                if (record := state.steps.get(following.name)) is not None:
                    state = state.with_step(following.name, replace(record, is_finished=False, is_stale=True))
        # An earlier attempt with the same key is resumed; any other one is replaced.
        is_other = before is not None and (before.is_stale or before.key != step.key)
        written = [path for path in (step.output, step.table) if path is not None]
        if written and (overwrite or is_other or any(path.exists() for path in written)):
            step = replace(step, arguments=(*step.arguments, "--overwrite"))
        # The time of failed and interrupted attempts counts, that of an earlier success does not.
        is_retry = before is not None and not before.is_finished and not is_other
        record = before if before is not None and is_retry else StepRecord(key=step.key)
        state = state.with_step(step.name, record)
        _write_state(folder / STATE_FILE, state)
        report(number, step, None)
        started, used = time.monotonic(), _processor_seconds()
        is_finished, printed = False, ""
        try:
            printed = _run_command(step.arguments, quiet=quiet)
            is_finished = True
        finally:  # also the time of a failed or interrupted attempt is recorded
            processor_seconds = record.processor_seconds + _processor_seconds() - used
            record = replace(
                record,
                is_finished=is_finished,
                seconds=round(record.seconds + time.monotonic() - started, DECIMALS),
                processor_seconds=round(processor_seconds, DECIMALS),
                printed=printed,
            )
            state = state.with_step(step.name, record)
            _write_state(folder / STATE_FILE, state)
    return state


def _run_command(arguments: Sequence[str], *, quiet: bool) -> str:
    """Run a command in this process, so that TensorFlow is loaded once; return its last line.

    The result that it prints on stdout is progress here, so it goes to stderr.
    """
    if quiet:
        arguments = (*arguments, "--quiet")
    # Bytes, because a result may contain paths that are not valid UTF-8.
    data = io.BytesIO()
    stdout = io.TextIOWrapper(data, encoding="utf-8", errors="surrogateescape", write_through=True)
    try:
        with redirect_stdout(stdout):
            code = program.main(args=list(arguments), prog_name="dermpack", standalone_mode=False)
    except FailedWithResultError as failed:
        raise failed.error from failed
    finally:
        click.echo(data.getvalue().decode("utf-8", "backslashreplace"), err=True, nl=False)
    # Such commands print their problems without raising an error, as `data check` does.
    if code:
        what = f"ended with exit code {code}"
        hint = "Fix what the step reports above, then rerun the same command to resume."
        raise InputError(f"dermpack {shlex.join(arguments)}", what, hint, code="step-failed")
    lines = data.getvalue().decode("utf-8", "replace").splitlines()
    return lines[-1] if lines else ""


def _processor_seconds() -> float:
    """Return the processor time of this process and of the child processes that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _write_state(path: Path, state: BuildState) -> None:
    files.write_text(path, files.format_json(encode(state)))
