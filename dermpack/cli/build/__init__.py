"""dermpack build: from a folder of pictures to a verified bundle."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from dermpack.cli.build.run_steps import (
    STATE_FILE,
    BuildState,
    StepRecord,
    StepReporter,
    open_build,
    read_state,
    run_steps,
)
from dermpack.cli.build.steps import BuildStep, build_steps, check_steps, read_step_options, require_extras
from dermpack.cli.build.summary import read_summary, summary_text, write_index
from dermpack.cli.console import (
    RESUME_HINT,
    output_options,
    print_note,
    print_result,
    print_styled,
    resumable,
)
from dermpack.errors import DermpackError

RESUMES = "After an interruption, rerun the same command to resume."
TITLE = "Build"


@click.command("build", short_help="Go from a folder of pictures to a verified bundle.")
@click.argument("pictures", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="OUT", required=True, type=click.Path(path_type=Path),
    help="The folder for everything that is made: a new one, or that of a build to resume.",
)  # fmt: skip
@click.option(
    "--config", metavar="FILE.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Options of the steps: tables [import], [check], [report], [train], [evaluate], [convert], "
    "[verify], "
    "[benchmark] and [package], whose keys are the long names of the options.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Run every step of an earlier build again.")
@output_options
def command(
    *, pictures: Path, output: Path, config: Path | None, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Import PICTURES, train a network on them, convert it to int8 and package it for an app.

    The steps are: import the pictures, check the dataset, write the dataset report, train, evaluate, convert,
    verify, benchmark, package. Each one prints its command and shows its progress. After an interruption or
    an error, rerun the same command: finished steps are skipped, and an unfinished training resumes. If the
    options of a step change, that step and the following ones run again. OUT/index.html states the result
    and links every report.

    Training starts from ImageNet weights, which are downloaded once; weights = "none" in [train] needs no
    network.

    \b
    Examples:
      dermpack build pictures -o skin
      dermpack build pictures -o skin --config build.toml
      dermpack build HAM10000 -o lesions --overwrite --json

    \b
    A build.toml:
      [import]
      split = "80/10/10"
      [train]
      alpha = 0.35
      epochs = 20
      [convert]
      max-drop = 2
      [package]
      name = "skin"
    """
    require_extras()
    steps = build_steps(pictures, output, read_step_options(config) if config else {})
    if config is not None:
        check_steps(steps, config)
    with open_build(output, overwrite=overwrite) as state:
        state = run(output, steps, state, overwrite=overwrite, quiet=quiet)
        summary = read_summary(output, steps, state)
        write_index(
            output, summary, title=TITLE, subtitle=f"From {pictures.resolve().name} to {summary.bundle.name}"
        )
    print_result(summary.record(), summary_text(summary), as_json=as_json)


def run(
    folder: Path, steps: Sequence[BuildStep], state: BuildState, *, overwrite: bool, quiet: bool
) -> BuildState:
    """Run the steps and report each on stderr; after Ctrl-C, print how far the build is."""

    def progress() -> str:
        steps_by_name = read_state(folder / STATE_FILE).steps
        done = sum(record.is_finished for record in steps_by_name.values())
        epochs = (
            ", and the finished epochs of the training are kept" if any(folder.glob(".*.partial")) else ""
        )
        return f"{done} of {len(steps)} steps are done{epochs}"

    print_note(f"{len(steps)} steps into {folder}; the training takes longest. {RESUMES}", quiet=quiet)
    # With --overwrite, the finished steps would run again.
    hint = f"{RESUME_HINT} (without --overwrite)" if overwrite else RESUME_HINT
    try:
        with resumable(folder, progress, hint=hint):
            reporter = step_reporter(len(steps), quiet=quiet)
            return run_steps(folder, steps, state, overwrite=overwrite, quiet=quiet, report=reporter)
    except DermpackError:
        print_note(RESUMES, quiet=quiet)
        raise


def step_reporter(count: int, *, quiet: bool) -> StepReporter:
    """Return a callback that prints the number, the title and the command of each step on stderr."""

    def report(number: int, step: BuildStep, record: StepRecord | None) -> None:
        head = f"{number}/{count} {step.title}"
        if quiet:
            return
        if record is not None:
            print_styled(f"{head}: done before, in {record.seconds:.0f} s", style="dim")
            return
        print_styled("", style="")
        print_styled(head, style="bold")
        print_styled(f"$ dermpack {shlex.join(step.arguments)}", style="dim")

    return report
