"""The sections of a report's page on what a model gets right, and whether it does so everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.figure_text import NOTHING, apart_text, change_text, percent, share
from benchmarks.report.plot_images import kernels_text, tradeoff_image
from benchmarks.report.schema import (
    AccuracyDrop,
    LabelFlip,
    OutputAgreement,
    Record,
    ScoredAnswer,
    ScoredData,
    SettingOnTarget,
)
from dermpack.reporting.page import Block, Gallery, Image, ImageBackground, Media, Section, Table, Text

MOST_FLIPS = 24
WORTH = ("lost", "won", "wrong as before")
METHOD = (
    "In brackets the 95 % interval: 1,000 bootstrap draws over groups; pictures of one group are drawn "
    "together. Differences are paired: both models on the same pictures under the same draws, in percentage "
    "points; where no draw shows a difference there is no interval, nor around the figures of fewer "
    "than ten groups. McNemar's p: how probable so uneven a share of won and lost pictures is by chance."
)


def accuracy_sections(record: Record, sheet: bytes | None) -> Iterator[Section]:
    if record.data is None or not record.answers:
        return
    yield Section(title="Accuracy", blocks=_accuracy(record, record.data))
    if record.drops:
        yield Section(title="Labels", blocks=_labels(record))
    if record.agreements:
        yield Section(title="The same file in other places", blocks=_agreements(record))
    flipped = [of for of in record.drops if of.flips]
    if flipped:
        yield Section(title="Pictures that flipped", blocks=_flips(flipped[0], record.data, sheet))


def _accuracy(record: Record, data: ScoredData) -> list[Block]:
    counted = (
        f"{data.n:,} pictures of {data.groups:,} groups, the {data.split.value} split of {data.source}; "
        f"every model saw the same ones. {METHOD}"
    )
    images = [
        image
        for place in record.targets
        if (image := tradeoff_image(record, place.target, is_emulated=place.is_emulated)) is not None
    ]
    drops = _drops(record) if record.drops else []
    return [Text(text=counted), _answers(record), *drops, *([Gallery(images=images)] if images else [])]


def _answers(record: Record) -> Table:
    scored = [of for of in record.answers if of.unscored is None]
    header = ("model", "where", "balanced accuracy", "accuracy", "mean confidence")
    rows = [(of.model, of.where, _answer_cells(of)) for of in scored]
    return Table(caption="What each model gets right", header=header, rows=_merged(rows, record))


def _answer_cells(of: ScoredAnswer) -> tuple[str, ...]:
    confidence = NOTHING if of.mean_confidence is None else f"{of.mean_confidence:.3f}"
    return percent(of.balanced_accuracy), percent(of.accuracy), confidence


def _drops(record: Record) -> list[Block]:
    """What was lost, and what else changed."""
    first = record.drops[0].first
    lost = [(of.model, of.where, _lost_cells(of)) for of in record.drops]
    moved = [(of.model, of.where, _moved_cells(of)) for of in record.drops]
    return [
        Table(
            caption=f"Against {first}, picture by picture: percentage points, pictures won and lost",
            header=("model", "where", "balanced accuracy", "accuracy", "won", "lost", "McNemar p"),
            rows=_merged(lost, record),
        ),
        Table(
            caption=f"How far from {first}: the same label, and by how much the top probability moved",
            header=("model", "where", "same label", "on average", "at most"),
            rows=_merged(moved, record),
        ),
    ]


def _lost_cells(of: AccuracyDrop) -> tuple[str, ...]:
    changes = change_text(of.balanced_accuracy), change_text(of.accuracy)
    return (*changes, f"{of.only_here}", f"{of.only_first}", f"{of.mcnemar_p:.3f}")


def _moved_cells(of: AccuracyDrop) -> tuple[str, ...]:
    drifts = f"{of.mean_confidence_drift:.3f}", f"{of.max_confidence_drift:.3f}"
    return (f"{100 * of.top1_agreement:.1f} %", *drifts)


def _merged(
    rows: Sequence[tuple[str, tuple[SettingOnTarget, ...], tuple[str, ...]]], record: Record
) -> list[tuple[str, ...]]:
    """Places with the same cells share a row."""
    places: dict[tuple[str, tuple[str, ...]], list[SettingOnTarget]] = {}
    for model, where, cells in rows:
        places.setdefault((model, cells), []).extend(where)
    return [(model, _places(record, model, where), *cells) for (model, cells), where in places.items()]


def _places(record: Record, model: str, where: Sequence[SettingOnTarget]) -> str:
    """ "everywhere", or "host: all settings; qemu:cortex-a72: tflite default"."""
    known = {place for of in record.answers if of.model == model for place in of.where}
    if known <= set(where):
        return "everywhere"
    parts = []
    for target in dict.fromkeys(of.target for of in where):
        here = [of for of in where if of.target == target]
        is_all = {of for of in known if of.target == target} <= set(here)
        names = dict.fromkeys(kernels_text(of.setting) for of in here)
        parts.append(f"{target}: {'all settings' if is_all else ', '.join(names)}")
    return "; ".join(parts)


def _labels(record: Record) -> list[Block]:
    """One row a label, one column a model: in the place that speaks for each model."""
    shown = {of.model: of for of in reversed(record.drops)}
    drops = [shown[name] for name in dict.fromkeys(of.model for of in record.drops)]
    first = drops[0]
    rows = [
        (
            *(of.label, f"{of.n}", f"{100 * of.recall.first:.1f} %"),
            *(change_text(drop.per_class[at].recall) for drop in drops),
        )
        for at, of in enumerate(first.per_class)
    ]
    header = ("label", "pictures", f"recall of {first.first}", *(f"{of.model}, points" for of in drops))
    where = "; ".join(dict.fromkeys(f"{of.model}: {of.where[0]}" for of in drops))
    return [Table(caption=f"Recall of each label ({where})", header=header, rows=rows)]


def _agreements(record: Record) -> list[Block]:
    text = (
        "The outputs of the same file, held against each other: on another target each setting against the "
        "same one of the first target, on the first target each against its first. A step is the smallest "
        "difference that an output of integers can have."
    )
    header = ("model", "where", "against", "outputs that differ", "how far", "labels that differ")
    rows = [_agreement_row(of) for of in record.agreements]
    return [Text(text=text), Table(caption="Agreement", header=header, rows=rows)]


def _agreement_row(of: OutputAgreement) -> tuple[str, ...]:
    first, here = of.first, of.where[0]
    against = first.target if here.target != first.target else ""
    settings = dict.fromkeys(kernels_text(place.setting) for place in of.where)
    if kernels_text(first.setting) not in settings:
        against = f"{against} {kernels_text(first.setting)}".strip()
    return (
        *(of.model, f"{here.target}: {', '.join(settings)}", against),
        *(share(of.differing, of.outputs), apart_text(of), share(of.other_labels, of.n)),
    )


def _flips(drop: AccuracyDrop, data: ScoredData, sheet: bytes | None) -> list[Block]:
    text = (
        f"{share(len(drop.flips), data.n)} pictures get another label from {drop.model} than from "
        f"{drop.first} ({drop.where[0]}). report.json names those of all models and places."
    )
    shown = flips_shown(drop)
    rows = [(of.picture, of.truth, of.first, of.here, worth(of)) for of in shown]
    header = ("picture", "truth", drop.first, drop.model, "")
    caption = "What was lost comes first" + (f": {len(rows)} of them" if len(rows) < len(drop.flips) else "")
    table = Table(caption=caption, header=header, rows=rows)
    return [Text(text=text), *([_sheet(sheet)] if sheet else []), table]


def _sheet(sheet: bytes) -> Image:
    alt = "Flipped pictures: truth, label of the first model, label of this one"
    return Image(
        data=sheet,
        alt=alt,
        caption="The truth: from > to",
        media=Media.JPEG,
        surface=ImageBackground.PHOTOGRAPH,
    )


def flips_shown(drop: AccuracyDrop) -> list[LabelFlip]:
    """Those in the table and on the sheet: lost ones first, then won ones."""
    return sorted(drop.flips, key=lambda of: WORTH.index(worth(of)))[:MOST_FLIPS]


def worth(flip: LabelFlip) -> str:
    lost, won, wrong = WORTH
    return lost if flip.first == flip.truth else won if flip.here == flip.truth else wrong
