"""The sections on accuracy, and on whether the outputs are the same in all places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from benchmarks.report.plots import kernels_text, tradeoff_image
from benchmarks.report.schema import AccuracyDrop, LabelFlip, Record, ScoredData, SettingOnTarget
from benchmarks.report.text import change_text, distance_text, percent_text, share_text
from dermpack.reporting.page import (
    NO_VALUE,
    Block,
    Gallery,
    Image,
    ImageBackground,
    Media,
    Section,
    Table,
    Text,
)

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
    yield Section(title="Accuracy", blocks=_accuracy(record, record.data))
    if record.drops:
        yield Section(title="Labels", blocks=[_label_table(record)])
    if record.agreements:
        yield Section(title="The same file in other places", blocks=_agreements(record))
    flipped = [drop for drop in record.drops if drop.flips]
    if flipped:
        yield Section(title="Pictures that flipped", blocks=_flips(flipped[0], record.data, sheet))


def shown_flips(drop: AccuracyDrop) -> list[LabelFlip]:
    """Return the flips in the table and on the sheet: lost pictures first, then won ones."""
    return sorted(drop.flips, key=lambda flip: OUTCOMES.index(flip_outcome(flip)))[:MOST_FLIPS]


def flip_outcome(flip: LabelFlip) -> str:
    """Return whether a flip lost the picture, won it, or neither."""
    lost, won, wrong = OUTCOMES
    return lost if flip.first == flip.truth else won if flip.here == flip.truth else wrong


def _accuracy(record: Record, data: ScoredData) -> list[Block]:
    text = (
        f"{data.n:,} pictures of {data.groups:,} groups, the {data.split.value} split of {data.source}; "
        f"the same for every model. {METHOD}"
    )
    answers: list[PlacedRow] = []
    for answer in record.answers:
        if answer.unscored is None:
            confidence = NO_VALUE if answer.mean_confidence is None else f"{answer.mean_confidence:.3f}"
            scores = (percent_text(answer.balanced_accuracy), percent_text(answer.accuracy))
            answers.append((answer.model, answer.where, (*scores, confidence)))
    table = Table(
        caption="Accuracy of each model",
        header=("model", "where", "balanced accuracy", "accuracy", "mean confidence"),
        rows=_merge_rows(answers, record),
    )
    blocks: list[Block] = [Text(text=text), table]
    if record.drops:
        blocks += _drop_tables(record)
    places = record.targets
    images = [tradeoff_image(record, place.target, is_emulated=place.is_emulated) for place in places]
    if any(images):
        blocks.append(Gallery(images=[image for image in images if image is not None]))
    return blocks


def _drop_tables(record: Record) -> Iterator[Table]:
    """Yield the tables of lost accuracy and of other differences."""
    first = record.drops[0].first
    lost: list[PlacedRow] = []
    moved: list[PlacedRow] = []
    for drop in record.drops:
        changes = (change_text(drop.balanced_accuracy), change_text(drop.accuracy))
        counts = (f"{drop.only_here}", f"{drop.only_first}", f"{drop.mcnemar_p:.3f}")
        lost.append((drop.model, drop.where, (*changes, *counts)))
        drifts = (f"{drop.mean_confidence_drift:.3f}", f"{drop.max_confidence_drift:.3f}")
        moved.append((drop.model, drop.where, (f"{100 * drop.top1_agreement:.1f} %", *drifts)))
    yield Table(
        caption=f"Against {first}, picture by picture: percentage points, pictures won and lost",
        header=("model", "where", "balanced accuracy", "accuracy", "won", "lost", "McNemar p"),
        rows=_merge_rows(lost, record),
    )
    yield Table(
        caption=f"Distance from {first}: pictures with the same label, and change of the top probability",
        header=("model", "where", "same label", "on average", "at most"),
        rows=_merge_rows(moved, record),
    )


def _merge_rows(rows: Sequence[PlacedRow], record: Record) -> list[tuple[str, ...]]:
    """Merge the rows of places with the same cells."""
    places: dict[tuple[str, tuple[str, ...]], list[SettingOnTarget]] = {}
    for model, where, cells in rows:
        places.setdefault((model, cells), []).extend(where)
    return [(model, _places_text(record, model, where), *cells) for (model, cells), where in places.items()]


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
    return Table(caption=f"Recall of each label ({where})", header=header, rows=rows)


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
    return [Text(text=text), Table(caption="Agreement", header=header, rows=rows)]


def _flips(drop: AccuracyDrop, data: ScoredData, sheet: bytes | None) -> list[Block]:
    text = (
        f"{share_text(len(drop.flips), data.n)} pictures get another label from {drop.model} than from "
        f"{drop.first} ({drop.where[0]}). report.json lists those of all models and places."
    )
    images = []
    if sheet:
        image = Image(
            data=sheet,
            alt="Flipped pictures: true label, label of the first model, label of this model",
            caption="True label: label of the first model > label of this model",
            media=Media.JPEG,
            surface=ImageBackground.PHOTOGRAPH,
        )
        images.append(image)
    rows = [
        (flip.picture, flip.truth, flip.first, flip.here, flip_outcome(flip)) for flip in shown_flips(drop)
    ]
    some = f": {len(rows)} of {len(drop.flips)}" if len(rows) < len(drop.flips) else ""
    header = ("picture", "truth", drop.first, drop.model, "")
    return [Text(text=text), *images, Table(caption=f"Lost pictures first{some}", header=header, rows=rows)]
