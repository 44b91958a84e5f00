"""The report of an evaluation: JSON record, HTML page, plots and a sheet of the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermpack.errors import count_noun
from dermpack.evaluation.evaluate import Evaluation
from dermpack.evaluation.mark_study import difference_text, mark_blocks
from dermpack.evaluation.metadata_section import study_blocks
from dermpack.evaluation.plots import evaluation_plots, evidence_plot
from dermpack.evaluation.unknown_sets import UnknownSet
from dermpack.metrics.intervals import MIN_GROUPS
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.skin_type_gap import DARK, LIGHT, SkinTypeGap
from dermpack.metrics.slices import Slice
from dermpack.metrics.summary import FEW_GROUPS, Figure, LabelScores, Scores
from dermpack.metrics.thresholds import AnsweredShare, ReachedPoint
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import (
    NO_VALUE,
    Block,
    Facts,
    Gallery,
    Image,
    Section,
    Table,
    callouts,
    render_page,
    select_images,
    threshold_text,
)
from dermpack.storage.files import format_json

RECORD_FILE, PAGE_FILE, SHEET_FILE = "report.json", "report.html", "mistakes.png"
EVIDENCE_PLOT = "evidence.png"
MOST_MISTAKES = 24  # on the contact sheet
MISTAKE_PX, MISTAKES_ACROSS = 160, 5  # wide enough for a name of two words
FIRST = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}
OVERALL = {
    **FIRST,
    **{"macro_precision": "precision, mean of labels", "macro_f1": "F1, mean of labels"},
    **{"average_precision": "average precision, mean of labels"},
    **{"top3": "top 3", "top5": "top 5", "ece": "calibration error (15 bins)", "brier": "Brier score"},
}
LABEL_COLUMNS = {"recall": "recall", "precision": "precision", "f1": "F1", "auroc": "AUROC"}
COSTS = {
    "Specificity at a threshold that finds this share of the label's pictures": {
        "specificity_at_sensitivity_90": "sensitivity .90",
        "specificity_at_sensitivity_95": "sensitivity .95",
    },
    "Sensitivity at a threshold that rejects this share of the other pictures": {
        "sensitivity_at_specificity_90": "specificity .90",
        "sensitivity_at_specificity_95": "specificity .95",
    },
}
SLICE_COLUMNS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auroc": "AUROC"}
ALT = {
    "confusion.png": "Confusion matrix: truth in rows, predictions in columns",
    "labels.png": "Recall, precision and AUROC of each label with intervals",
    "roc.png": "ROC curves, one label against the rest, of at most seven labels with most pictures",
    "precision-recall.png": "Precision-recall curves of the same labels",
    "reliability.png": "Accuracy against confidence; pale bars have fewer than ten pictures",
    "evidence.png": "Probability of the label while places are covered or shown, by evidence and at random",
    "coverage.png": "Accuracy against the share of answered pictures",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong prediction; `confidence` is the probability of the predicted class."""

    picture: str
    truth: str
    predicted: str
    confidence: float


def evaluation_files(
    evaluation: Evaluation,
    *,
    files: Mapping[str, Path] | None = None,
    overlays: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return file name → bytes; `files` are the paths of the pictures, None to show no picture.

    `overlays` are evidence maps of the worst mistakes, by picture.
    """
    predictions, scores = evaluation.predictions, evaluation.scores
    plots = evaluation_plots(predictions, scores)
    # Thresholds chosen on the split that is scored are optimistic, so the captions name them as such.
    hindsight = [
        _label_table(f"{caption}, chosen in hindsight on this split", scores.per_class, columns)
        for caption, columns in COSTS.items()
    ]
    images = select_images(plots, ("roc.png", "precision-recall.png"), ALT)
    curves = [Gallery(images)] if images else []
    labels = _label_table("Each label", scores.per_class, LABEL_COLUMNS)
    sections = [
        Section("Figures", _overall(scores)),
        Section("Labels", [labels, *select_images(plots, ("labels.png", "confusion.png"), ALT)]),
        Section("Thresholds", [*_operating(evaluation.operating), *hindsight, *curves]),
        Section("Confidence", _confidence(evaluation.answered, plots)),
    ]
    if evaluation.metadata:
        sections.insert(1, Section("Picture and metadata", study_blocks(evaluation.metadata)))
    if evaluation.slices:
        gaps = [block for gap in evaluation.skin_type_gaps for block in _skin_type_gap(gap)]
        sections.append(Section("Slices", [*_slices(evaluation.slices), *gaps]))
    if evaluation.marks:
        sections.append(Section("Generated marks", mark_blocks(evaluation.marks)))
    if evaluation.unknown:
        sections.append(Section("Unknown pictures", _unknown(evaluation.unknown)))
    # The sheet shows pictures of patients: only if the caller gives their paths.
    if files and (mistakes := find_worst_mistakes(predictions, most=MOST_MISTAKES)):
        entries = [
            (files[mistake.picture], (mistake.truth, f"as {mistake.predicted}", f"{mistake.confidence:.2f}"))
            for mistake in mistakes
        ]
        plots[SHEET_FILE] = contact_sheet(entries, cell=MISTAKE_PX, columns=MISTAKES_ACROSS)
        text = "The wrong predictions with the least probable truth: true label, predicted label, confidence."
        alt = "The most confident wrong predictions"
        image = Image(data=plots[SHEET_FILE], alt=alt, is_photograph=True)
        sections.append(Section("Worst mistakes", [text, image]))
    if evaluation.evidence is not None:
        plots[EVIDENCE_PLOT] = evidence_plot(evaluation.evidence)
        sections.append(Section("Evidence", _evidence(evaluation, plots, overlays or {})))
    pictures = f"{count_noun(scores.n, 'picture')} of the {scores.split} split"
    subtitle = f"Scored on {pictures} of {evaluation.dataset.source}"
    page = render_page(f"Evaluation of {evaluation.model['name']}", subtitle=subtitle, sections=sections)
    return {**plots, PAGE_FILE: page.encode(), RECORD_FILE: format_json(evaluation.record()).encode()}


def _evidence(
    evaluation: Evaluation, plots: Mapping[str, bytes], overlays: Mapping[str, bytes]
) -> list[Block]:
    """Return the sanity checks of the evidence maps, and the maps of the worst mistakes."""
    checks = evaluation.evidence
    assert checks is not None
    text = (
        "The evidence map shows where the answer comes from, not where a disease is. The places with most "
        "evidence are covered first (deletion) or shown first (insertion), compared with places in a random "
        "order: a gain above 0 means that the map names places that the answer depends on. Maps of a network "
        "with shuffled weights should have a correlation near 0, and maps by occlusion one above 0."
    )
    rows = [
        (name, f"{figure.value:.3f}", f"{figure.ci95[0]:.3f} to {figure.ci95[1]:.3f}", f"{figure.n}")
        for name, figure in checks.figures.items()
    ]
    header = ("mean over pictures", "value", "95 % interval", "pictures")
    blocks: list[Block] = [text, Table("Sanity checks of the evidence maps", header, rows)]
    blocks += select_images(plots, (EVIDENCE_PLOT,), ALT)
    if overlays:
        mistakes = find_worst_mistakes(evaluation.predictions, most=MOST_MISTAKES)
        shown = [mistake for mistake in mistakes if mistake.picture in overlays]
        blocks.append("The worst mistakes; orange places count for the predicted label, blue ones against:")
        blocks.append(
            Gallery(
                [
                    Image(
                        data=overlays[mistake.picture],
                        alt="A picture, and the same picture under its evidence map",
                        caption=f"{mistake.truth} as {mistake.predicted}, {mistake.confidence:.2f}",
                        is_photograph=True,
                    )
                    for mistake in shown
                ]
            )
        )
    return blocks


def find_worst_mistakes(predictions: Predictions, *, most: int) -> tuple[Mistake, ...]:
    """Return the wrong predictions, the least probable truth first; equal ones in picture order."""
    of_truth = predictions.probabilities[np.arange(len(predictions)), predictions.truth]
    order = np.argsort(of_truth, kind="stable")
    classes, predicted, confidence = predictions.classes, predictions.predicted, predictions.confidence
    return tuple(
        Mistake(
            picture=predictions.pictures[index],
            truth=classes[predictions.truth[index]],
            predicted=classes[predicted[index]],
            confidence=float(confidence[index]),
        )
        for index in order[~predictions.correct[order]][:most].tolist()
    )


def figure_text(figure: Figure, *, form: str = ".3f", to: str = " to ") -> str:
    """Format a fraction with its interval, or a dash for each: "0.742 (0.701 to 0.780)", "0.500 (–)"."""
    if figure.value is None:
        return NO_VALUE
    interval = NO_VALUE if figure.ci95 is None else to.join(format(end, form) for end in figure.ci95)
    return f"{figure.value:{form}} ({interval})"


def short_figure_text(figure: Figure) -> str:
    """Format the same for a narrow column: "0.74 (0.70–0.78)"."""
    return figure_text(figure, form=".2f", to="–")


def _overall(scores: Scores) -> list[Block]:
    first = {name: scores.value(key) for key, name in FIRST.items()}
    facts = [(name, NO_VALUE if value is None else f"{value:.3f}") for name, value in first.items()]
    facts += [("pictures", f"{scores.n:,}"), ("groups", f"{scores.groups:,}")]
    rows = [
        (name, figure_text(scores.figures[key]))
        for key, name in OVERALL.items()
        if scores.value(key) is not None or key in FIRST
    ]
    method = (
        f"The 95 % interval is in brackets. It comes from {scores.resamples:,} bootstrap draws over groups "
        f"with seed {scores.seed}: the pictures of one group are drawn together. A dash means that no draw "
        f"changed the figure, or that there are fewer than {MIN_GROUPS} groups. Balanced accuracy is the "
        "mean recall of the labels that have pictures; AUROC is their mean of one label against the rest."
    )
    table = Table("All labels together", ("figure", "value"), rows)
    return [Facts(facts), *callouts(scores.notes), table, method]


def _operating(points: Sequence[ReachedPoint]) -> list[Block]:
    if not points:
        return []
    rows = []
    for point in points:
        fitted = (f"{point.threshold:.4f}", f"{point.positives}", f"{point.wanted_sensitivity:.3f}")
        reached = (figure_text(point.sensitivity), figure_text(point.specificity))
        rows.append((point.label, *fitted, *reached))
    header = ("label", "threshold", "pictures", "sensitivity wanted", "sensitivity here", "specificity here")
    caption = "Thresholds of the run, fitted on its validation split"
    return [Table(caption, header, rows)]


def _confidence(answered: AnsweredShare | None, plots: Mapping[str, bytes]) -> list[Block]:
    blocks: list[Block] = []
    if answered is not None:
        blocks.append(
            f'The run abstains ("not sure") below a confidence of {threshold_text(answered.threshold)}, '
            f"which was fitted on its validation split. It answers {figure_text(answered.coverage)} of these "
            f"pictures; {figure_text(answered.accuracy)} of the answers are correct."
        )
    blocks.append(Gallery(select_images(plots, ("reliability.png", "coverage.png"), ALT)))
    if "coverage.png" not in plots:
        blocks.append("All confidences are equal: no threshold could abstain on some pictures only.")
    return blocks


def _slices(slices: Sequence[Slice]) -> list[Block]:
    text = (
        "The labels of a slice differ in number and share from those of the whole: consider its interval. "
        "Means are over the labels that occur in the slice. "
        f"A slice with fewer than {FEW_GROUPS} groups is too small: its figures are mostly chance. "
        "With a few groups, its intervals are too narrow as well."
    )
    header = ("value", "pictures", "groups", "labels", *SLICE_COLUMNS.values(), "")
    rows: dict[str, list[tuple[str, ...]]] = {}
    for part in slices:
        counts = (f"{part.n}", f"{part.groups}", f"{part.labels}")
        figures = (short_figure_text(part.figures[name]) for name in SLICE_COLUMNS)
        remark = "mostly chance" if part.warning else ""
        rows.setdefault(part.column, []).append((part.value, *counts, *figures, remark))
    tables = [Table(column, header, cells) for column, cells in rows.items()]
    return [text, *tables]


def _skin_type_gap(gap: SkinTypeGap) -> list[Block]:
    """Return the answer to "is it worse on dark skin?", and the differences behind it."""
    overall = [
        (FIRST[name], f"{gap.light}", f"{gap.dark}", difference_text(change))
        for name, change in gap.figures.items()
    ]
    labels = [
        (f"recall of {one.label}", f"{one.light}", f"{one.dark}", difference_text(one.recall))
        for one in gap.labels
    ]
    header = ("figure", f"pictures of {LIGHT}", f"pictures of {DARK}", "difference")
    caption = f"{gap.column}: {DARK} minus {LIGHT}, over the labels that occur on both"
    return [gap.sentence, Table(caption, header, [*overall, *labels])]


def _unknown(sets: Sequence[UnknownSet]) -> list[Block]:
    """Return a table of the separation by both scores, and a table of what the contract accepts."""
    text = (
        "AUROC of the distance to the training pictures, and the share of the unknown pictures that are "
        "accepted where 95 % of the pictures of this split are. The same figures of the confidence, the "
        "probability of the most probable label, on the same pictures; the difference is paired."
    )
    rows: list[tuple[str, ...]] = []
    decided: list[tuple[str, ...]] = []
    for found in sets:
        comparison = found.comparison
        for name, scores in (("distance", comparison.familiarity), ("confidence", comparison.confidence)):
            figures = figure_text(scores.auroc), figure_text(scores.false_acceptance)
            rows.append((found.name, f"{comparison.unknown:,}", name, *figures))
        changes = comparison.auroc_difference, comparison.false_acceptance_difference
        rows.append((found.name, "", "difference", *(difference_text(change) for change in changes)))
        faults = ", ".join(f"{count:,} {fault}" for fault, count in found.unknown_faults.items())
        shares = figure_text(comparison.known_accepted), figure_text(comparison.unknown_accepted)
        decided.append((found.name, *shares, faults or NO_VALUE))
    header = ("dataset", "pictures", "score", "AUROC", "false acceptance")
    caption = "With the threshold of the contract"
    decisions = ("dataset", "accepted of this split", "accepted of the dataset", "refused for quality")
    return [text, Table("Known and unknown", header, rows), Table(caption, decisions, decided)]


def _label_table(caption: str, per_class: Sequence[LabelScores], columns: Mapping[str, str]) -> Table:
    rows = []
    for scores in per_class:
        figures = (figure_text(scores.figures[name]) for name in columns)
        rows.append((scores.label, f"{scores.n}", f"{scores.groups}", *figures))
    return Table(caption, ("label", "pictures", "groups", *columns.values()), rows)
