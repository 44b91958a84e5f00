"""dermpack data check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import note, output_options, result, table, track

if TYPE_CHECKING:
    from trainer.datasets.check import Checked

SHOWN = 20  # a table longer than a screen is not read; --json has them all


@click.command("check", short_help="Verify files, hashes and splits; exit 1 on leakage.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Decode all pictures and find duplicates anew (the data extra).")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes; all processors when not given.")
@output_options
@click.pass_context
def command(
    context: click.Context, dataset: Path, again: bool, jobs: int | None, as_json: bool, quiet: bool
) -> None:
    """Verify that DATASET is what was imported, and that no group or cluster stands in two splits.

    Exits with 1 on any problem.
    """
    from dataclasses import replace

    from trainer.datasets.check import check_dataset

    checked = check_dataset(dataset, track=track(quiet=quiet))
    if again:
        from trainer.datasets.again import check_again

        found = check_again(checked.dataset, jobs=jobs, track=track(quiet=quiet))
        checked = replace(checked, problems=(*checked.problems, *found))
    _tell(checked, quiet=quiet)
    result(_answer(checked), _sentence(checked), as_json=as_json)
    context.exit(1 if checked.problems else 0)


def _tell(checked: Checked, *, quiet: bool) -> None:
    if not checked.problems:
        return
    rows = [(finding.kind, finding.picture, finding.detail) for finding in checked.problems[:SHOWN]]
    table("problems", ("kind", "picture", "detail"), rows, quiet=quiet)
    if len(checked.problems) > SHOWN:
        note(f"and {len(checked.problems) - SHOWN} more; --json shows all", quiet=quiet)


def _sentence(checked: Checked) -> str:
    pictures = len(checked.dataset.pictures)
    kinds = Counter(finding.kind for finding in checked.problems)
    if not kinds:
        return f"{pictures} pictures, no problem"
    return f"{pictures} pictures, " + ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))


def _answer(checked: Checked) -> dict[str, object]:
    return {
        "counts": checked.dataset.counts(),
        "pictures": len(checked.dataset.pictures),
        "problems": [
            {"kind": finding.kind, "picture": finding.picture, "detail": finding.detail}
            for finding in checked.problems
        ],
        "sound": not checked.problems,
    }
