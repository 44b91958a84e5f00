"""dermpack train --folds: a run a fold, and figures over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dermpack.cli.console import note, result, table
from dermpack.cli.event_printer import teller
from dermpack.cli.interruption import going_on, trained_runs

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset

Recipe: TypeAlias = Any  # of trainer, of which nothing is imported before the command is called
Folded: TypeAlias = Any  # likewise
SHOWN = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auroc": "AUROC"}
MORE = {"macro_f1": "F1, mean of labels", "ece": "calibration error", "brier": "Brier score"}


def run_folds(
    dataset: Dataset,
    output: Path,
    recipe: Recipe,
    *,
    folds: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train, and tell."""
    from trainer.experiments.folds_run import train_folds

    tell = teller(quiet=quiet)
    with going_on(output, lambda: trained_runs(output, of=f"{folds} folds")):
        done = train_folds(dataset, output, recipe, folds=folds, overwrite=overwrite, tell=tell)
    _show(done, quiet=quiet or as_json)
    result(done.record(), str(output), as_json=as_json)


def _show(done: Folded, *, quiet: bool) -> None:
    from dermpack.evaluation.report_page import figure_text
    from dermpack.metrics.summary import Figure
    from trainer.experiments.folds_scores import NOTE

    rows = [
        (
            label,
            figure_text(done.out_of_fold.figures[name]),
            figure_text(Figure(value=of.mean, ci95=of.ci95)),
        )
        for name, label in {**SHOWN, **MORE}.items()
        if (of := done.over_folds.get(name))
    ]
    n, groups = done.out_of_fold.n, done.out_of_fold.groups
    title = f"{len(done.folds)} folds, {n:,} pictures, {groups:,} groups"
    table(title, ("figure", "out of fold", "mean of folds"), rows, quiet=quiet)
    for line in (*done.out_of_fold.notes, NOTE):
        note(line, quiet=quiet)
