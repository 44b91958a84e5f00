"""Write MODEL_CARD.md: what the contract knows, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dermpack.bundle.bundle_record import Bundle
from dermpack.bundle.label_meanings import Meanings, meaning_table
from dermpack.bundle.module_layout import part
from dermpack.bundle.texts.benchmark_times import VariantTimes
from dermpack.bundle.texts.card_tables import compared, scored_on, sliced, timed_on
from dermpack.bundle.texts.evaluation_scores import ScoredDataset, VariantScores
from dermpack.bundle.texts.licence import licence_lines, spdx_of
from dermpack.bundle.variants import Variant
from dermpack.contract import Contract
from dermpack.reporting.markdown import cell, lines, table

SPLITS = ("train", "validation", "test")  # in the order of their use
NONCOMMERCIAL = ("CC-BY-NC-4.0",)
UNSCORED = """Not given: `dermpack evaluate` scores a file on a dataset, by label and by each column, and
`dermpack package --scores` puts that here."""
UNTIMED = "Not given: `dermpack benchmark` times a file, and `dermpack package --benchmark` puts that here."
UNSLICED = "Not given."
UNDESCRIBED: Meanings = {}


def card_text(
    bundle: Bundle,
    variants: Sequence[Variant],
    scored: Sequence[VariantScores] = (),
    timed: Sequence[VariantTimes] = (),
    meanings: Meanings = UNDESCRIBED,
) -> bytes:
    """The card of all variants; the data and the labels are the same for all."""
    contract = variants[0].contract
    data = next((of.data for of in scored if of.data.sha256 == contract.parents.dataset), ScoredDataset())
    return part(
        "MODEL_CARD.md",
        name=cell(bundle.name),
        version=cell(bundle.version),
        licence=lines(f"{line}\n" for line in licence_lines(contract.license)),
        what=lines((*_what(variants), *_described(contract, meanings))),
        uses=lines(_uses(contract, data)),
        data=lines(_data(contract, data)),
        scores=lines(line for of in scored for line in scored_on(of)) or UNSCORED,
        figures=lines(line for of in variants for line in compared(of.contract)),
        times=lines(line for of in timed for line in timed_on(of)) or UNTIMED,
        answers=lines(line for of in variants for line in _answers(of, scored)),
        slices=lines(line for of in scored for line in sliced(of)) or UNSLICED,
    )


def _what(variants: Sequence[Variant]) -> Iterator[str]:
    contract = variants[0].contract
    labels = ", ".join(map(cell, contract.labels))
    yield f"- Classifies a picture as one of {len(contract.labels)} labels: {labels}."
    for of in variants:
        its = of.contract
        yield f"- `{cell(its.name)}` {cell(its.version)}: {_made(its)}, {its.size_bytes:,} bytes,"
        yield f"  {its.input.width}×{its.input.height} px in, sha256 `{its.sha256}`"


def _described(contract: Contract, meanings: Meanings) -> Iterator[str]:
    if meanings:
        yield ""
        yield from meaning_table(contract.labels, meanings)


def _made(contract: Contract) -> str:
    recipe, left = contract.recipe, len(contract.recipe.float_layers)
    return (
        f"{recipe.name} by {cell(recipe.method)}{f', {left} layers left in floating point' if left else ''}"
    )


def _uses(contract: Contract, data: ScoredDataset) -> Iterator[str]:
    yield f"- For: {cell(contract.intended_use)}"
    yield "- Not for: diagnosis, triage, or any decision about a person."
    if spdx_of(contract.license) in NONCOMMERCIAL:
        yield "- Not for: commerce, by the licence of its data."
    if data.caution:
        yield f"- Not for: pictures unlike those it knows. {cell(data.caution)}"


def _data(contract: Contract, data: ScoredDataset) -> Iterator[str]:
    if data.counts:
        yield from _counted(data)
    yield "- Trained on one dataset in one run (sha256 of its manifest, its record, its weights):"
    yield from (f"  - {name} `{getattr(contract.parents, name)}`" for name in ("dataset", "run", "weights"))
    ranges, soft = contract.calibration, contract.output.temperature
    if ranges:
        of = ", ".join(f"{cell(name)} {count}" for name, count in sorted(ranges.per_label.items()))
        yield f"- Ranges of integers were measured on {ranges.n} pictures of the {cell(ranges.split)} split,"
        yield f"  seed {ranges.seed}{f': {of}' if of else ''}."
    if soft:
        yield f"- Temperature {soft.value:.3f}, fitted on {soft.n} pictures of the validation split:"
        yield f"  calibration error {soft.ece_before:.3f} before, {soft.ece_after:.3f} after."


def _counted(data: ScoredDataset) -> Iterator[str]:
    """Pictures by label and split, and how the splits were drawn."""
    splits = [split for split in SPLITS if any(data.counts.get(split, {}).values())]
    named = list(dict.fromkeys(label for of in data.counts.values() for label in of))
    drawn = ", ".join(f"{cell(name)} {cell(value)}" for name, value in sorted(data.options.items()))
    yield f"{cell(data.source)}, {sum(sum(of.values()) for of in data.counts.values()):,} pictures ({drawn}):"
    yield ""
    rows = [(cell(label), *(f"{data.counts[split].get(label, 0):,}" for split in splits)) for label in named]
    sums = ("all", *(f"{sum(data.counts[split].values()):,}" for split in splits))
    yield from table(("label", *splits), [*rows, sums])
    yield ""


def _answers(of: Variant, scored: Sequence[VariantScores]) -> Iterator[str]:
    contract, rule = of.contract, of.contract.abstention
    if rule:
        yield f'- {of.name} says "not sure" below a confidence of {rule.threshold:.3g}: it then answers'
        yield f"  {rule.coverage:.0%} of the {rule.n} validation pictures,"
        yield f"  {rule.accuracy:.1%} of these rightly."
    for seen in scored:
        if seen.variant == of.name and seen.covered:
            yield f"- On the {cell(seen.split)} split it answers {seen.covered} of the pictures,"
            yield f"  {seen.right} of these rightly."
    for point in contract.thresholds:
        right = "" if point.specificity is None else f", specificity {point.specificity:.3f}"
        yield f"- {of.name} calls {cell(point.label)} from {point.threshold:.3g} on:"
        yield f"  sensitivity {point.sensitivity:.3f}{right}, {point.positives} of {point.n} pictures."
    if not rule and not contract.thresholds:
        yield f"- {of.name} always answers; no threshold was fixed."
