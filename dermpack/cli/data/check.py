"""dermpack data check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import note, output_options, result, track
from dermpack.cli.data.group_summary import group_count, groups_told

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset, Finding

SHOWN = 20  # a list longer than a screen is not read; --json has them all
MEND = "scores on these splits are too high: import again with --overwrite, and --mend or --new-splits"


@click.command("check", short_help="Verify files, hashes and splits; exit 1 on leakage.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--again",
    is_flag=True,
    help="Also decode all pictures and look for duplicates anew, without believing what the import recorded "
    "(needs the data extra).",
)
@click.option(
    "--jobs",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    help="With --again: how many processes decode.  [default: one for each processor]",
)
@output_options
@click.pass_context
def command(
    context: click.Context, dataset: Path, again: bool, jobs: int | None, as_json: bool, quiet: bool
) -> None:
    """Verify that DATASET is what was imported, and that no group or cluster stands in two splits.

    Exits with 1 on any problem.

    \b
    Examples:
      dermpack data check dataset
      dermpack data check dataset --again --json
    """
    from trainer.datasets.checks.check import check_dataset

    checked = check_dataset(dataset, track=track(quiet=quiet))
    problems = checked.problems
    if again:
        from trainer.datasets.checks.duplicates_recheck import check_again

        problems += check_again(checked.dataset, jobs=jobs, track=track(quiet=quiet))
    _tell(problems, quiet=quiet or as_json)
    result(_answer(checked.dataset, problems), _sentence(checked.dataset, problems), as_json=as_json)
    context.exit(1 if problems else 0)


def _tell(problems: Sequence[Finding], *, quiet: bool) -> None:
    if not problems:
        return
    for finding in problems[:SHOWN]:  # lines: a table would break the paths, which are copied from here
        note(": ".join(filter(None, (finding.kind, finding.picture, finding.detail))), quiet=quiet)
    if len(problems) > SHOWN:
        note(f"and {len(problems) - SHOWN} more; --json shows all", quiet=quiet)
    if any(finding.kind.endswith("-leak") for finding in problems):
        note(MEND, quiet=quiet)


def _sentence(dataset: Dataset, problems: Sequence[Finding]) -> str:
    kinds = Counter(finding.kind for finding in problems)
    told = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    groups = groups_told(dataset)
    counted = f"{len(dataset.pictures)} pictures{f' in {groups}' if groups else ''}"
    return f"{counted}, {told or 'no problem'}"


def _answer(dataset: Dataset, problems: Sequence[Finding]) -> dict[str, object]:
    return {
        "counts": dataset.counts(),
        "groups": group_count(dataset),
        "pictures": len(dataset.pictures),
        "problems": [
            {"kind": finding.kind, "picture": finding.picture, "detail": finding.detail}
            for finding in problems
        ],
        "sound": not problems,
    }
