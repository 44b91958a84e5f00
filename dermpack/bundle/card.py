"""Write MODEL_CARD.md: what the contract knows, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dermpack.bundle.bundle import Bundle
from dermpack.bundle.module import part
from dermpack.bundle.scored import Scored
from dermpack.bundle.variant import Variant
from dermpack.contract import Accuracy, Compared, Contract

UNSCORED = """Not given: `dermpack evaluate` scores a file on a dataset, by every column of its metadata, and
`dermpack package --scores` puts that here."""


def card_text(bundle: Bundle, variants: Sequence[Variant], scored: Sequence[Scored]) -> bytes:
    """The card of all variants; the data and the labels are the same for all."""
    return part(
        "MODEL_CARD.md",
        name=_cell(bundle.name),
        version=_cell(bundle.version),
        what=_lines(_what(variants)),
        data=_lines(_data(variants[0].contract)),
        figures=_lines(line for of in variants for line in _figures(of.contract)),
        answers=_lines(line for of in variants for line in _answers(of)),
        slices=_lines(line for of in scored for line in _slices(of)) or UNSCORED,
    )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip()


def _what(variants: Sequence[Variant]) -> Iterator[str]:
    contract = variants[0].contract
    labels = ", ".join(map(_cell, contract.labels))
    yield f"- Classifies a picture as one of {len(contract.labels)} labels: {labels}."
    yield f"- Intended use: {_cell(contract.intended_use)}"
    yield f"- Licence of the model: {_cell(contract.license)}"
    for of in variants:
        its = of.contract
        yield f"- `{_cell(its.name)}` {_cell(its.version)}: {_made(its)}, {its.size_bytes:,} bytes,"
        yield f"  sha256 `{its.sha256}`"


def _made(contract: Contract) -> str:
    recipe, left = contract.recipe, len(contract.recipe.float_layers)
    return f"{recipe.name} by {recipe.method}{f', {left} layers left in floating point' if left else ''}"


def _data(contract: Contract) -> Iterator[str]:
    yield "- Trained on one dataset in one run (sha256 of its manifest, its record, its weights):"
    yield from (
        f"  - {name} `{getattr(contract.parents, name)}`" for name in contract.parents.__dataclass_fields__
    )
    ranges, soft = contract.calibration, contract.output.temperature
    if ranges:
        of = ", ".join(f"{_cell(name)} {count}" for name, count in sorted(ranges.per_label.items()))
        yield f"- Ranges of integers were measured on {ranges.n} pictures of the {_cell(ranges.split)} split,"
        yield f"  seed {ranges.seed}{f': {of}' if of else ''}."
    if soft:
        yield f"- Temperature {soft.value:.3f}, fitted on {soft.n} pictures of the validation split:"
        yield f"  calibration error {soft.ece_before:.3f} before, {soft.ece_after:.3f} after."


def _figures(contract: Contract) -> Iterator[str]:
    yield from (f"## Figures of {contract.recipe.name}, beside the float network's", "")
    if not contract.accuracy:
        yield from ("None stand in the contract.", "")
    for accuracy in contract.accuracy:
        yield from _split(accuracy)


def _split(of: Accuracy) -> Iterator[str]:
    yield f"Split {_cell(of.split)}, n = {of.n:,}; the float network's label on {of.agreement:.1%} of them."
    yield from ("", "| figure | this file | float | difference (95 %, paired) |", "|---|---:|---:|---:|")
    yield from (_compared(figure) for figure in of.figures)
    yield ""


def _compared(of: Compared) -> str:
    interval = f" ({of.ci95[0]:+.4f} to {of.ci95[1]:+.4f})" if of.ci95 else ""
    return f"| {_cell(of.metric)} | {of.of_file:.4f} | {of.of_float:.4f} | {of.difference:+.4f}{interval} |"


def _answers(of: Variant) -> Iterator[str]:
    contract, rule = of.contract, of.contract.abstention
    if rule:
        yield f'- {of.name} says "not sure" below a confidence of {rule.threshold:.3g}: it then answers'
        yield f"  {rule.coverage:.0%} of the pictures, {rule.accuracy:.1%} of them right (n = {rule.n})."
    for point in contract.thresholds:
        right = "" if point.specificity is None else f", specificity {point.specificity:.3f}"
        yield f"- {of.name} calls {_cell(point.label)} from {point.threshold:.3g} on:"
        yield f"  sensitivity {point.sensitivity:.3f}{right}, {point.positives} of {point.n} pictures."
    if not rule and not contract.thresholds:
        yield f"- {of.name} always answers; no threshold was fixed."


def _slices(of: Scored) -> Iterator[str]:
    yield f"{of.variant}, split {_cell(of.split)}, n = {of.n:,}, {of.groups:,} groups (95 % intervals)."
    yield from ("", "| slice | n | groups | balanced accuracy | accuracy |", "|---|---:|---:|---:|---:|")
    for row in of.rows:
        few = " (few: mostly chance)" if row.is_few else ""
        yield f"| {_cell(row.name)}{few} | {row.n:,} | {row.groups:,} | {row.balanced} | {row.accuracy} |"
    yield ""


def _cell(text: str) -> str:
    """One line that breaks no table and starts no markup."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").split())
