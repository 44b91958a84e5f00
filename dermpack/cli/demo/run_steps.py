"""Walk the steps of a demo; a second walk goes on where the first one ended."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

from dermpack.cli.console import FailedWithResultError
from dermpack.cli.demo.progress_file import KEPT_FILE, FinishedSteps, StepCost, read_kept, write_kept
from dermpack.cli.demo.steps import DemoOptions, DemoStep
from dermpack.errors import InputError
from dermpack.storage.files import cannot_write, refuse_existing
from dermpack.storage.locks import locked

LOCK_FILE = ".lock"

Tell = Callable[
    [int, DemoStep, StepCost | None], None
]  # the step's number; what it took, where it is skipped


@contextmanager
def begun(folder: Path, options: DemoOptions, *, overwrite: bool) -> Iterator[FinishedSteps]:
    """Hold the folder, and tell what an earlier demo of this version and these options left in it.

    A folder of anything else is refused, and one in which another demo works.
    """
    refuse_existing(folder, marker=KEPT_FILE, overwrite=True)
    fresh = FinishedSteps.of(options)
    _claim(folder, fresh)
    with locked(folder / LOCK_FILE, where=folder):
        kept = fresh if overwrite else read_kept(folder / KEPT_FILE)
        yield kept if kept.asked == fresh.asked else fresh


def walk(
    folder: Path, steps: Sequence[DemoStep], kept: FinishedSteps, *, overwrite: bool, tell: Tell
) -> FinishedSteps:
    """Run what is not whole yet, and all that is made after it; answer what every step took."""
    for number, step in enumerate(steps, start=1):
        if _is_whole(step, kept):
            tell(number, step, kept.spent[step.name])
            continue
        following = steps[number:] if step.makes is not None else ()
        kept = kept.without(step.name, *(of.name for of in following))
        write_kept(folder / KEPT_FILE, kept)
        asked = _asked(step, overwrite=overwrite)
        tell(number, asked, None)
        kept = _run(asked, kept, folder / KEPT_FILE)
    return kept


def _claim(folder: Path, fresh: FinishedSteps) -> None:
    """Say whose folder it is before anything else lies in it, or it would be refused after a kill."""
    if not (folder / KEPT_FILE).is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        write_kept(folder / KEPT_FILE, fresh)


def _is_whole(step: DemoStep, kept: FinishedSteps) -> bool:
    """A proof never is: it is cheap, and files may have changed."""
    return step.makes is not None and step.makes.exists() and step.name in kept.finished


def _asked(step: DemoStep, *, overwrite: bool) -> DemoStep:
    """The step as it is run: what it made before, of an earlier dataset or run, is replaced."""
    written = [path for path in (step.makes, step.table) if path is not None]
    if not written or not (overwrite or any(path.exists() for path in written)):
        return step  # where training was interrupted, it goes on
    return replace(step, arguments=(*step.arguments, "--overwrite"))


def _run(step: DemoStep, kept: FinishedSteps, path: Path) -> FinishedSteps:
    """Run one step; what was spent is remembered even where it does not end well."""
    started, used = time.monotonic(), _processor_seconds()
    is_whole = False
    try:
        _invoke(step.arguments)
        is_whole = True
    finally:
        took = StepCost(seconds=time.monotonic() - started, processor_seconds=_processor_seconds() - used)
        kept = kept.plus(step.name, took, is_whole=is_whole)
        write_kept(path, kept)
    return kept


def _invoke(arguments: Sequence[str]) -> None:
    """The command, in this process: TensorFlow is loaded once. Its answer is progress here, so on stderr."""
    from dermpack.cli import program

    with redirect_stdout(sys.stderr):
        try:
            code = program.main(args=list(arguments), prog_name="dermpack", standalone_mode=False)
        except FailedWithResultError as failed:
            raise failed.error from failed
    if code:
        what = f"ended with exit code {code}"
        hint = "Fix what the step reports above, then rerun the same command to resume."
        raise InputError(f"dermpack {shlex.join(arguments)}", what, hint, code="step-failed")


def _processor_seconds() -> float:
    """Of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
