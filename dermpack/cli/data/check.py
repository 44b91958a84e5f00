"""dermpack data check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import output_options, print_note, print_result, progress_bar
from dermpack.cli.data.import_ import count_groups, describe_groups

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset, Finding

SHOWN = 20  # findings in the terminal; --json prints all
LEAK_HINT = (
    "scores on these splits will be too high: import again with --overwrite and --mend, or with --new-splits"
)


@click.command("check", short_help="Verify files, hashes and splits; exit 1 on leakage.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--again", is_flag=True,
    help="Also decode all pictures and search for duplicates again instead of using the recorded ones "
    "(requires "
    "the data extra).",
)  # fmt: skip
@click.option(
    "--jobs", metavar="NUMBER", type=click.IntRange(min=1),
    help="With --again: number of processes that decode.  [default: one for each processor]",
)  # fmt: skip
@output_options
@click.pass_context
def command(
    context: click.Context, dataset: Path, again: bool, jobs: int | None, as_json: bool, quiet: bool
) -> None:
    """Verify that DATASET is unchanged since its import, and that no group or cluster is in two splits.

    The exit code is 1 if there is any problem.

    \b
    Examples:
      dermpack data check dataset
      dermpack data check dataset --again --json
    """
    from trainer.datasets.checks.check import check_dataset

    checked = check_dataset(dataset, track=progress_bar(quiet=quiet))
    problems = checked.problems
    # The quick check trusts the recorded hashes and clusters; this one reads every pixel.
    if again:
        from trainer.datasets.checks.check import recheck_duplicates

        problems += recheck_duplicates(checked.dataset, jobs=jobs, track=progress_bar(quiet=quiet))
    dataset_checked, is_quiet = checked.dataset, quiet or as_json
    for finding in problems[:SHOWN]:  # lines, because a table would break paths that are copied from here
        line = ": ".join(filter(None, (finding.kind, finding.picture, finding.detail)))
        print_note(line, quiet=is_quiet)
    if len(problems) > SHOWN:
        print_note(f"and {len(problems) - SHOWN} more; --json shows all", quiet=is_quiet)
    if any(finding.kind.endswith("-leak") for finding in problems):
        print_note(LEAK_HINT, quiet=is_quiet)
    record = {
        "counts": dataset_checked.counts(),
        "groups": count_groups(dataset_checked),
        "pictures": len(dataset_checked.pictures),
        "problems": [
            {"kind": finding.kind, "picture": finding.picture, "detail": finding.detail}
            for finding in problems
        ],
        "sound": not problems,
    }
    print_result(record, _summary(dataset_checked, problems), as_json=as_json)
    context.exit(1 if problems else 0)


def _summary(dataset: Dataset, problems: Sequence[Finding]) -> str:
    """Return the number of pictures and groups, and of the problems of each kind."""
    kinds = Counter(finding.kind for finding in problems)
    listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    groups = describe_groups(dataset)
    counted = f"{len(dataset.pictures)} pictures{f' in {groups}' if groups else ''}"
    return f"{counted}, {listed or 'no problem'}"
