"""Tell what a conversion tried, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermpack.cli.console import note, table

if TYPE_CHECKING:
    from dermpack.contract import Runtimes
    from dermpack.errors import DermpackError

Conversion = Any  # of converter, which is imported within the command only
Tried = Any
HEADER = ("file", "balanced", "points lost (95%)", "AUROC", "same label", "MB", "s", "result")
LAYER_HEADER = ("layer", "operator", "error (rounding alone: 0.289 steps)", "computed in")
WORDS = ("operator", "result", "computed in")
WORST = 10  # layers in the terminal
MEGABYTE = 1e6


def tell(conversion: Conversion, *, quiet: bool) -> None:
    """A row a file that was tried, the worst layers where they were compared, and what else must be known."""
    tried = [(one, one is made.best) for made in conversion.made for one in made.tried]
    first = tried[0][0].verdict
    figures = f"balanced accuracy {first.balanced_accuracy.first:.3f}, AUROC {first.auroc.first:.3f}"
    title = f"The float network has {figures} (validation split, n = {len(first.predictions)})"
    rows = [_row(one, _fate(one, conversion.limit, is_kept=is_kept)) for one, is_kept in tried]
    table(title, HEADER, rows, quiet=quiet, words=WORDS)
    _tell_layers(conversion, quiet=quiet)
    for line in dict.fromkeys(_remarks(conversion)):
        note(line, quiet=quiet)


def _tell_layers(conversion: Conversion, *, quiet: bool) -> None:
    """The layers that integers harm most."""
    for candidate in (made.best.candidate for made in conversion.made):
        if candidate.errors:
            worst = sorted(candidate.errors, key=lambda one: -one.error)[:WORST]
            title = f"Measured ranges: the worst {len(worst)} of {len(candidate.errors)} layers by integers"
            rows = [
                (
                    one.name,
                    one.operator,
                    f"{one.error:.3f}",
                    "float" if one.layer in candidate.kept else "int8",
                )
                for one in worst
            ]
            table(title, LAYER_HEADER, rows, quiet=quiet, words=WORDS)


def _fate(one: Tried, limit: Any, *, is_kept: bool) -> str:
    """kept, or rejected by which figure."""
    why = limit.surpassed(one.verdict)
    return "kept" if is_kept else f"rejected: {why}" if why else "rejected"


def _row(one: Tried, fate: str) -> tuple[str, ...]:
    candidate, verdict = one.candidate, one.verdict
    accuracy = verdict.balanced_accuracy
    return (
        _name(one),
        f"{accuracy.second:.3f}",
        f"{_points(accuracy.difference)}{_interval(accuracy.ci95)}",
        f"{verdict.auroc.second:.4f}",
        f"{verdict.agreement:.1%}",
        f"{len(candidate.data) / MEGABYTE:.2f}",
        f"{candidate.seconds:.1f}",
        fate,
    )


def _name(one: Tried) -> str:
    """int8 ptq, int8 selective-2; float32, which is made in one way only."""
    candidate = one.candidate
    return f"{candidate.recipe.value} {candidate.name}" if candidate.method else str(candidate.name)


def _points(difference: float) -> str:
    """What was lost, of a difference: -0.012 → 1.2; never -0.0."""
    return f"{round(-100 * difference, 1) + 0.0:.1f}"


def _interval(ci95: tuple[float, float] | None) -> str:
    return f" ({_points(ci95[1])} to {_points(ci95[0])})" if ci95 else ""


def _remarks(conversion: Conversion) -> Iterator[str]:
    for made in conversion.made:
        for one in made.tried:
            yield from one.candidate.notes
            if one.verdict.refusal:
                yield f"{_name(one)} is not taken by XNNPACK: {one.verdict.refusal}"
        yield from (f"{made.recipe.value} {line}" for line in _runs(made.contract.runtimes))
    yield conversion.limit.sentence()


def _runs(runtimes: Runtimes) -> Iterator[str]:
    """Where the file ran, and each place where it did not."""
    working = dict.fromkeys(f"{of.runtime} {of.version}" for of in runtimes.tried if of.works)
    yield f"runs on {', '.join(working) or 'no interpreter'}"
    for of in runtimes.tried:
        if not of.works:
            yield f"does not run as it should on {of.runtime} {of.version} ({of.delegate}): {of.result}"


def record(conversion: Conversion, output: Path) -> dict[str, Any]:
    """What `--json` prints."""
    import json
    from dataclasses import asdict

    from dermpack.contract import contract_text

    return {
        "export": str(output),
        "rejected": conversion.rejected and str(conversion.rejected),
        "is_within": conversion.is_within,
        "seconds": {made.recipe.value: made.best.candidate.seconds for made in conversion.made},
        "layers": {
            made.recipe.value: [asdict(one) for one in made.best.candidate.errors]
            for made in conversion.made
            if made.best.candidate.errors
        },
        "models": {made.recipe.value: json.loads(contract_text(made.contract)) for made in conversion.made},
    }


def too_much(conversion: Conversion, output: Path) -> DermpackError:
    """Return the error for a conversion in which no int8 file is within the limit."""
    from dermpack.errors import OutputError

    best = next(made.best.verdict for made in conversion.made if made.recipe.value == "int8")
    why = conversion.limit.surpassed(best)
    points, auroc = _points(best.balanced_accuracy.difference), round(-best.auroc.difference, 3) + 0.0
    lost = f"{points} points, {auroc:.3f} of AUROC, {best.agreement:.1%} same labels"
    what = f"the best int8 file was written, but loses too much accuracy by {why} ({lost})"
    hint = "Train longer or on more pictures, or allow more with --max-drop."
    return OutputError(output, what, hint, code="accuracy-loss")
