"""dermpack demo: the whole chain in one go, on generated pictures."""

from __future__ import annotations

from pathlib import Path

import click

from dermpack.cli.console import note, output_options, result
from dermpack.cli.interruption import AGAIN, going_on
from dermpack.errors import DermpackError

GOES_ON = "Interrupted, the same command goes on where it was."
AGAIN_AS_IT_IS = f"{AGAIN}: without --overwrite"


@click.command("demo", short_help="Run the whole chain on generated pictures, and sum it up.")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where all of it goes: a new folder, or that of a demo to go on with.",
)
@click.option("--overwrite", is_flag=True, help="Do every step of an earlier demo again.")
@output_options
def command(*, output: Path, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Run every step from pictures to an app's bundle, as you would type them: a few minutes.

    The pictures are generated: they show no person and mean nothing medically. Each step tells its command
    and shows its progress and tables. Interrupted, the same command goes on where it was.

    \b
    Examples:
      dermpack demo
      dermpack demo -o elsewhere --overwrite
    """
    from dermpack.cli.demo.run_steps import begun, walk
    from dermpack.cli.demo.steps import DemoOptions, check_installed, steps_in
    from dermpack.cli.demo.summary import read_summary
    from dermpack.cli.demo.summary_text import summary_text, teller

    check_installed()
    options = DemoOptions()
    steps = steps_in(output, options, quiet=quiet)
    with begun(output, options, overwrite=overwrite) as kept:
        note(f"{len(steps)} steps into {output}, of which training takes longest. {GOES_ON}", quiet=quiet)
        try:
            tell = teller(len(steps), quiet=quiet)
            with going_on(
                output, lambda: _kept(output, len(steps)), hint=AGAIN_AS_IT_IS if overwrite else AGAIN
            ):
                kept = walk(output, steps, kept, overwrite=overwrite, tell=tell)
        except DermpackError:
            note(GOES_ON, quiet=quiet)
            raise
        summary = read_summary(output, steps, kept)
        result(summary.record(), summary_text(summary), as_json=as_json)


def _kept(output: Path, count: int) -> str:
    from dermpack.cli.demo.progress_file import KEPT_FILE, read_kept

    done = len(read_kept(output / KEPT_FILE).finished)
    epochs = ", and of training the finished epochs are kept" if any(output.glob(".*.partial")) else ""
    return f"{done} of {count} steps are done{epochs}"
