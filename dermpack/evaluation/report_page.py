"""The page of an evaluation: the figures first, what they are worth, and where the model is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dermpack.metrics.intervals import LEAST_GROUPS
from dermpack.metrics.operating_points import AnsweredShare, ReachedPoint
from dermpack.metrics.slices import Slice
from dermpack.metrics.summary import FEW_GROUPS, Figure, LabelScores, Scores
from dermpack.reporting.option_text import NOTHING
from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Gallery,
    Image,
    ImageBackground,
    Level,
    Section,
    Table,
    Text,
    render_page,
)

FIRST = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}
OVERALL = {
    **FIRST,
    **{"macro_precision": "precision, mean of labels", "macro_f1": "F1, mean of labels"},
    **{"average_precision": "average precision, mean of labels"},
    **{"top3": "top 3", "top5": "top 5", "ece": "calibration error (15 bins)", "brier": "Brier score"},
}
LABEL_COLUMNS = {"recall": "recall", "precision": "precision", "f1": "F1", "auroc": "AUROC"}
COSTS = {
    "Specificity where a threshold finds this share of the label's pictures": {
        "specificity_at_sensitivity_90": "sensitivity .90",
        "specificity_at_sensitivity_95": "sensitivity .95",
    },
    "Sensitivity where a threshold rejects this share of the others": {
        "sensitivity_at_specificity_90": "specificity .90",
        "sensitivity_at_specificity_95": "specificity .95",
    },
}
SLICE_COLUMNS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auroc": "AUROC"}
ALT = {
    "confusion.png": "Confusion matrix: truth in rows, predictions in columns",
    "labels.png": "Recall, precision and AUROC of each label with intervals",
    "roc.png": "ROC curves, one label against the rest; of many, the seven with most pictures",
    "precision-recall.png": "Precision-recall curves of the same labels",
    "reliability.png": "Accuracy against confidence; pale: fewer than ten pictures",
    "coverage.png": "Accuracy against the share of answered pictures",
}


def evaluation_page(
    scores: Scores,
    *,
    model: str,
    source: str,
    slices: Sequence[Slice] = (),
    operating: Sequence[ReachedPoint] = (),
    answered: AnsweredShare | None = None,
    plots: Mapping[str, bytes],
    mistakes: bytes | None,
) -> str:
    """One HTML page with everything; `mistakes` is a contact sheet, or None to show no picture."""
    sections = [
        Section(title="Figures", blocks=_overall(scores)),
        Section(title="Labels", blocks=_labels(scores, plots)),
        Section(title="Thresholds", blocks=[*_operating(operating), *_thresholds(scores, plots)]),
        Section(title="Confidence", blocks=[*_answered(answered), *_confidence(plots)]),
        *_slices(slices),
        *_mistakes(mistakes),
    ]
    subtitle = f"Scored on {scores.n:,} pictures of the {scores.split} split of {source}"
    return render_page(f"Evaluation of {model}", subtitle=subtitle, sections=sections)


def figure_text(figure: Figure) -> str:
    """A fraction with its interval, or a dash for one: "0.742 (0.701 to 0.780)", "0.500 (–)"."""
    if figure.value is None:
        return NOTHING
    value = f"{figure.value:.3f}"
    interval = NOTHING if figure.ci95 is None else f"{figure.ci95[0]:.3f} to {figure.ci95[1]:.3f}"
    return f"{value} ({interval})"


def brief(figure: Figure) -> str:
    """The same where there is little room: "0.74 (0.70–0.78)"."""
    if figure.value is None:
        return NOTHING
    value = f"{figure.value:.2f}"
    interval = NOTHING if figure.ci95 is None else f"{figure.ci95[0]:.2f}–{figure.ci95[1]:.2f}"
    return f"{value} ({interval})"


def _overall(scores: Scores) -> list[Block]:
    facts = [(name, _short(scores.figures[key])) for key, name in FIRST.items()]
    counted = [("pictures", f"{scores.n:,}"), ("groups", f"{scores.groups:,}")]
    known = ((key, name) for key, name in OVERALL.items() if scores.value(key) is not None or key in FIRST)
    rows = [(name, figure_text(scores.figures[key])) for key, name in known]
    method = (
        f"In brackets the 95 % interval: {scores.resamples:,} bootstrap draws over groups, seed "
        f"{scores.seed}; pictures of one group are drawn together; a dash where no draw "
        f"changed the figure, or there were fewer than {LEAST_GROUPS} groups. Balanced accuracy is the mean "
        "recall of the labels that have pictures, AUROC the mean over them of one against the rest."
    )
    notes = [Callout(level=Level.WARNING, text=note) for note in scores.notes]
    table = Table(caption="All labels together", header=("figure", "value"), rows=rows)
    return [Facts(facts=[*facts, *counted]), *notes, table, Text(text=method)]


def _labels(scores: Scores, plots: Mapping[str, bytes]) -> list[Block]:
    header = ("label", "pictures", "groups", *LABEL_COLUMNS.values())
    rows = [_label_row(of, LABEL_COLUMNS) for of in scores.per_class]
    table = Table(caption="Each label", header=header, rows=rows)
    return [table, _image(plots, "labels.png"), _image(plots, "confusion.png")]


def _operating(points: Sequence[ReachedPoint]) -> list[Block]:
    if not points:
        return []
    header = ("label", "threshold", "pictures", "sensitivity wanted", "sensitivity here", "specificity here")
    rows = [
        (
            *(of.label, f"{of.threshold:.4f}", f"{of.positives}", f"{of.wanted_sensitivity:.3f}"),
            *(figure_text(of.sensitivity), figure_text(of.specificity)),
        )
        for of in points
    ]
    caption = "Thresholds that the run brings along, fitted on its validation split"
    return [Table(caption=caption, header=header, rows=rows)]


def _answered(of: AnsweredShare | None) -> list[Block]:
    if of is None:
        return []
    text = (
        f'The run says "not sure" below a confidence of {of.threshold:.3f}, fitted on its validation split. '
        f"Here it answers {figure_text(of.coverage)} of the pictures; "
        f"{figure_text(of.accuracy)} of the answers are right."
    )
    return [Text(text=text)]


def _thresholds(scores: Scores, plots: Mapping[str, bytes]) -> list[Block]:
    tables: list[Block] = [
        Table(
            caption=f"{caption}, chosen on this split in hindsight",
            header=("label", "pictures", "groups", *columns.values()),
            rows=[_label_row(of, columns) for of in scores.per_class],
        )
        for caption, columns in COSTS.items()
    ]
    images = [_image(plots, name) for name in ("roc.png", "precision-recall.png") if name in plots]
    return [*tables, Gallery(images=images)] if images else tables


def _confidence(plots: Mapping[str, bytes]) -> list[Block]:
    images = [_image(plots, name) for name in ("reliability.png", "coverage.png") if name in plots]
    alike = [Text(text="All confidences are equal: none could be left unanswered before the others.")]
    return [Gallery(images=images), *([] if "coverage.png" in plots else alike)]


def _slices(slices: Sequence[Slice]) -> list[Section]:
    if not slices:
        return []
    columns = list(dict.fromkeys(part.column for part in slices))
    header = ("value", "pictures", "groups", "labels", *SLICE_COLUMNS.values(), "")
    tables = [
        Table(
            caption=column,
            header=header,
            rows=[_slice_row(part) for part in slices if part.column == column],
        )
        for column in columns
    ]
    text = (
        "A slice has other labels in other shares than the whole: compare its figures with its own interval "
        "in mind. The means are over the labels that occur in it. "
        f"With fewer than {FEW_GROUPS} groups a slice is too small to tell: its figures are mostly chance."
    )
    return [Section(title="Slices", blocks=[Text(text=text), *tables])]


def _mistakes(sheet: bytes | None) -> list[Section]:
    if sheet is None:
        return []
    text = "Wrong predictions, the least probable truth first: what it is, as what, how surely."
    alt = "The pictures that the model is most wrongly sure of"
    image = Image(data=sheet, alt=alt, surface=ImageBackground.PHOTOGRAPH)
    return [Section(title="Worst mistakes", blocks=[Text(text=text), image])]


def _label_row(of: LabelScores, columns: Mapping[str, str]) -> tuple[str, ...]:
    return of.label, f"{of.n}", f"{of.groups}", *(figure_text(of.figures[name]) for name in columns)


def _slice_row(part: Slice) -> tuple[str, ...]:
    figures = (brief(part.figures[name]) for name in SLICE_COLUMNS)
    return (
        part.value,
        f"{part.n}",
        f"{part.groups}",
        f"{part.labels}",
        *figures,
        "mostly chance" if part.warning else "",
    )


def _image(plots: Mapping[str, bytes], name: str) -> Image:
    return Image(data=plots[name], alt=ALT[name], caption=ALT[name])


def _short(figure: Figure) -> str:
    return NOTHING if figure.value is None else f"{figure.value:.3f}"
