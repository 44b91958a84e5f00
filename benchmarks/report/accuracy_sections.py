"""The sections on accuracy, and on whether the outputs are the same in all places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from benchmarks.report.plots import tradeoff_image
from benchmarks.report.schema import AccuracyDrop, LabelFlip, Record, ScoredData, SettingOnTarget
from benchmarks.report.text import change_text, distance_text, kernels_text, percent_text, share_text
from dermpack.reporting.page import NO_VALUE, Block, Gallery, Image, Media, Section, Table

PlacedRow: TypeAlias = tuple[str, tuple[SettingOnTarget, ...], tuple[str, ...]]  # model, places, cells

MOST_FLIPS = 24
OUTCOMES = ("lost", "won", "wrong as before")
METHOD = (
    "The 95 % interval is in brackets: 1,000 bootstrap draws over groups; pictures of one group are drawn "
    "together. Differences are paired: both models on the same pictures under the same draws, in percentage "
    "points. There is no interval if no draw shows a difference, or if there are fewer than ten groups. "
    "McNemar's p is the probability of an equally uneven number of won and lost pictures by chance."
)


def accuracy_sections(record: Record, sheet: bytes | None) -> Iterator[Section]:
    """Yield the sections on accuracy; `sheet` is a contact sheet of flipped pictures."""
    if record.data is None or not record.answers:
        return
    yield Section("Accuracy", list(_accuracy(record, record.data)))
    if record.drops:
        yield Section("Labels", [_label_table(record)])
    if record.agreements:
        yield Section("The same file in other places", _agreements(record))
    flipped = [drop for drop in record.drops if drop.flips]
    if flipped:
        yield Section("Pictures that flipped", _flips(flipped[0], record.data, sheet))


def shown_flips(drop: AccuracyDrop) -> list[LabelFlip]:
    """Return the flips in the table and on the sheet: lost pictures first, then won ones."""
    return sorted(drop.flips, key=lambda flip: OUTCOMES.index(flip_outcome(flip)))[:MOST_FLIPS]


def flip_outcome(flip: LabelFlip) -> str:
    """Return whether a flip lost the picture, won it, or neither."""
    lost, won, wrong = OUTCOMES
    return lost if flip.first == flip.truth else won if flip.here == flip.truth else wrong


def _accuracy(record: Record, data: ScoredData) -> Iterator[Block]:
    text = (
        f"{data.n:,} pictures of {data.groups:,} groups, the {data.split.value} split of {data.source}; "
        f"the same for every model. {METHOD}"
    )
    yield text
    rows: list[PlacedRow] = []
    for answer in record.answers:
        if answer.unscored is None:
            confidence = NO_VALUE if answer.mean_confidence is None else f"{answer.mean_confidence:.3f}"
            scores = (percent_text(answer.balanced_accuracy), percent_text(answer.accuracy))
            rows.append((answer.model, answer.where, (*scores, confidence)))
    names = ["balanced accuracy", "accuracy", "mean confidence"]
    yield _placed_table(record, rows, names, caption="Accuracy of each model")
    if record.drops:
        first = record.drops[0].first
        lost: list[PlacedRow] = []
        moved: list[PlacedRow] = []
        for drop in record.drops:
            changes = (change_text(drop.balanced_accuracy), change_text(drop.accuracy))
            counts = (f"{drop.only_here}", f"{drop.only_first}", f"{drop.mcnemar_p:.3f}")
            lost.append((drop.model, drop.where, (*changes, *counts)))
            drifts = (f"{drop.mean_confidence_drift:.3f}", f"{drop.max_confidence_drift:.3f}")
            moved.append((drop.model, drop.where, (f"{100 * drop.top1_agreement:.1f} %", *drifts)))
        names = ["balanced accuracy", "accuracy", "won", "lost", "McNemar p"]
        caption = f"Against {first}, picture by picture: percentage points, pictures won and lost"
        yield _placed_table(record, lost, names, caption=caption)
        names = ["same label", "on average", "at most"]
        caption = f"Distance from {first}: pictures with the same label, and change of the top probability"
        yield _placed_table(record, moved, names, caption=caption)
    images = [image for place in record.targets if (image := tradeoff_image(record, place))]
    if images:
        yield Gallery(images)


def _placed_table(record: Record, rows: Sequence[PlacedRow], names: Sequence[str], *, caption: str) -> Table:
    """Return a table in which places with the same cells share a row."""
    places: dict[tuple[str, tuple[str, ...]], list[SettingOnTarget]] = {}
    for model, where, cells in rows:
        places.setdefault((model, cells), []).extend(where)
    merged = [(model, _places_text(record, model, where), *cells) for (model, cells), where in places.items()]
    return Table(caption, ("model", "where", *names), merged)


def _places_text(record: Record, model: str, where: Sequence[SettingOnTarget]) -> str:
    """Format "everywhere", or "host: all settings; qemu:cortex-a72: tflite default"."""
    known = {place for answer in record.answers if answer.model == model for place in answer.where}
    # Most models give the same figures in all places: one word is enough.
    if known <= set(where):
        return "everywhere"
    parts = []
    for target in dict.fromkeys(place.target for place in where):
        here = [place for place in where if place.target == target]
        is_all = {place for place in known if place.target == target} <= set(here)
        names = dict.fromkeys(kernels_text(place.setting) for place in here)
        parts.append(f"{target}: {'all settings' if is_all else ', '.join(names)}")
    return "; ".join(parts)


def _label_table(record: Record) -> Table:
    """Return the change of recall: a row per label, a column per model, in each model's first place."""
    first_drops: dict[str, AccuracyDrop] = {}
    for drop in record.drops:
        first_drops.setdefault(drop.model, drop)
    drops = list(first_drops.values())
    rows = []
    for index, label in enumerate(drops[0].per_class):
        recall = f"{100 * label.recall.first:.1f} %"
        changes = (change_text(drop.per_class[index].recall) for drop in drops)
        rows.append((label.label, f"{label.n}", recall, *changes))
    columns = (f"{drop.model}, points" for drop in drops)
    header = ("label", "pictures", f"recall of {drops[0].first}", *columns)
    where = "; ".join(f"{drop.model}: {drop.where[0]}" for drop in drops)
    return Table(f"Recall of each label ({where})", header, rows)


def _agreements(record: Record) -> list[Block]:
    text = (
        "The outputs of the same file are compared: on another target, each setting with the same one of the "
        "first target; on the first target, each setting with its first one. A step is the smallest possible "
        "difference of an integer output."
    )
    rows = []
    for agreement in record.agreements:
        first, here = agreement.first, agreement.where[0]
        against = first.target if here.target != first.target else ""
        settings = dict.fromkeys(kernels_text(place.setting) for place in agreement.where)
        # The other setting is named only if it differs.
        if kernels_text(first.setting) not in settings:
            against = f"{against} {kernels_text(first.setting)}".strip()
        outputs = (share_text(agreement.differing, agreement.outputs), distance_text(agreement))
        labels = share_text(agreement.other_labels, agreement.n)
        rows.append((agreement.model, f"{here.target}: {', '.join(settings)}", against, *outputs, labels))
    header = ("model", "where", "against", "outputs that differ", "distance", "labels that differ")
    return [text, Table("Agreement", header, rows)]


def _flips(drop: AccuracyDrop, data: ScoredData, sheet: bytes | None) -> list[Block]:
    text = (
        f"{share_text(len(drop.flips), data.n)} pictures get another label from {drop.model} than from "
        f"{drop.first} ({drop.where[0]}). report.json lists those of all models and places."
    )
    blocks: list[Block] = [text]
    if sheet:
        alt = "Flipped pictures: true label, label of the first model, label of this model"
        caption = "True label: label of the first model > label of this model"
        blocks.append(Image(data=sheet, alt=alt, caption=caption, media=Media.JPEG, is_photograph=True))
    rows = [
        (flip.picture, flip.truth, flip.first, flip.here, flip_outcome(flip)) for flip in shown_flips(drop)
    ]
    some = f": {len(rows)} of {len(drop.flips)}" if len(rows) < len(drop.flips) else ""
    header = ("picture", "truth", drop.first, drop.model, "")
    return [*blocks, Table(f"Lost pictures first{some}", header, rows)]
