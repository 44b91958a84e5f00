"""Make the tables of docs/eczema.md from the committed reports."""

from __future__ import annotations

import math
from typing import Any

from tests.tools.conversion_table import markdown
from tests.tools.figures.sources import report
from tests.tools.models_table import points

RECORD, STUDY = "eczema-tasks", "eczema-published"
REFERENCE = "eczema-reference"  # tasks (a) and (b) by the recipe of models/eczema
MARKS = "eczema-marks"
PLANTED = "eczema-planted"  # letters on the training pictures of eczema
CURVES = ("eczema-curve-0", "eczema-curve-1", "eczema-curve-2")
NAMES = {
    "a": "(a) eczema, other inflammatory conditions",
    "b": "(b) eczema, all others",
    "c": "(c) 21 conditions",
    "d": "(d) eczema, other inflammatory, benign, malignant",
}
PUBLISHED = (0.6882, 0.7313, 0.7778)
PUBLISHED_N = 774
NORMAL_95 = 1.959964


def tasks() -> list[str]:
    """Return the scores of each task over its splits, and the loss of int8."""
    return _tasks(RECORD)


def reference() -> list[str]:
    """Return the same for the recipe of the shipped model."""
    return _tasks(REFERENCE)


def _tasks(name: str) -> list[str]:
    header = (
        *("task", "test pictures", "series", "balanced accuracy (95 %)", "AUROC (95 %)"),
        *(
            "AUROC by split",
            "int8: change of balanced accuracy, points (95 %)",
            "int8: change of AUROC (95 %)",
        ),
    )
    return markdown([header, *(_task(task, record) for task, record in report(name).items())])


def _task(task: str, record: dict[str, Any]) -> tuple[str, ...]:
    splits = " / ".join(f"{split['auroc']:.3f}" for split in record["float"]["splits"])
    accuracy_change = record["int8_minus_float"]["balanced_accuracy"]
    return (
        NAMES[task],
        f"{record['pooled']['n']:,}",
        f"{record['pooled']['groups']}",
        scored(record["float"]["pooled"], "balanced_accuracy"),
        scored(record["float"]["pooled"], "auroc"),
        splits,
        points(accuracy_change["difference"], accuracy_change["ci95"]),
        changed(record["int8_minus_float"]["auroc"]),
    )


def top() -> list[str]:
    """Return how often the condition is the first of 21 answers, and among the first five."""
    header = ("file", "top 1 (95 %)", "top 5 (95 %)", "balanced accuracy (95 %)", "F1, mean of labels (95 %)")
    rows = []
    for kind in ("float", "int8"):
        figures = report(RECORD)["c"][kind]["pooled"]
        names = ("accuracy", "top5", "balanced_accuracy", "macro_f1")
        rows.append((kind, *(scored(figures, name) for name in names)))
    return markdown([header, *rows])


def sensitivity() -> list[str]:
    """Return the specificity at a sensitivity of 0.95 for eczema, and for melanoma in HAM10000."""
    header = ("task", "file", "its pictures", "sensitivity reached (95 %)", "specificity left (95 %)")
    rows = []
    for task, name in NAMES.items():
        for kind in ("float", "int8"):
            reached = report(RECORD)[task][kind]["operating"]
            figures = [
                _with_interval(reached["figures"][key]["value"], reached["figures"][key]["ci95"])
                for key in ("sensitivity", "specificity")
            ]
            rows.append((name, kind, f"{reached['positives']}", *figures))
    for seed in range(2):
        (reached,) = report(f"lesions-sensitivity-{seed}")["operating"]
        shares = [scored(reached, key) for key in ("sensitivity", "specificity")]
        rows.append((f"melanoma, HAM10000, split seed {seed}", "float", f"{reached['positives']}", *shares))
    return markdown([header, *rows])


def slices() -> list[str]:
    """Return the scores of each task by skin type and by source."""
    header = ("task", "slice", "pictures", "series", "labels", "balanced accuracy (95 %)", "AUROC (95 %)")
    rows = [
        (
            f"({task})",
            f"{part['column'].replace('_', ' ')}: {part['value']}",
            f"{part['n']:,}",
            f"{part['groups']}",
            f"{part['labels']}",
            *(scored(part, name) for name in ("balanced_accuracy", "auroc")),
        )
        for task in NAMES
        for part in report(RECORD)[task]["slices"]
        if part["value"] != "(missing)"
    ]
    return markdown([header, *rows])


def dark_skin() -> list[str]:
    """Return the differences between the skin types V–VI and I–II."""
    header = ("task", "V–VI", "I–II", "balanced accuracy (95 %)", "AUROC (95 %)", "is it worse?")
    words = {"undecided": "the data cannot decide it", "worse": "yes", "better": "no, it is better"}
    rows = []
    for task, name in NAMES.items():
        gap = report(RECORD)[task]["skin_type_gap"]
        changes = [changed(gap["figures"][figure]) for figure in ("balanced_accuracy", "auroc")]
        rows.append((name, f"{gap['dark']}", f"{gap['light']}", *changes, words[gap["verdict"]]))
    return markdown([header, *rows])


def published() -> list[str]:
    """Return the scores of five recipes on one split, and accuracies published for another dataset."""
    study = report(STUDY)
    header = (
        "recipe",
        "accuracy (95 %)",
        "balanced accuracy (95 %)",
        "AUROC (95 %)",
        "points against the first (95 %)",
    )
    rows = []
    for name in study["order"]:
        tested = study["recipes"][name]["tests"][0]
        versus = tested.get("versus_base")
        change = versus["differences"]["balanced_accuracy"] if versus else None
        against = points(change["difference"], change["ci95"]) if change else "–"
        figures = [scored(tested["scores"], key) for key in ("accuracy", "balanced_accuracy", "auroc")]
        rows.append((name, *figures, against))
    for number, share in enumerate(PUBLISHED, start=1):
        reach = NORMAL_95 * math.sqrt(share * (1 - share) / PUBLISHED_N)
        value = _with_interval(share, [share - reach, share + reach])
        rows.append((f"published figure {number}, another dataset", value, "–", "–", "–"))
    return markdown([header, *rows])


def curve() -> list[str]:
    """Return the AUROC with a quarter, half and all of the training pictures, on each split."""
    header = ("split seed", "training pictures", "AUROC (95 %)", "AUROC, minus that of all (95 %)")
    rows = []
    for seed, name in enumerate(CURVES):
        study = report(name)
        total = study["datasets"][0]["counts"]["train"]
        for recipe in study["order"]:
            tested = study["recipes"][recipe]["tests"][0]
            versus = tested.get("versus_base")
            change = changed(versus["differences"]["auroc"]) if versus else "–"
            share = study["recipes"][recipe]["recipe"].get("train_share", 1.0)
            rows.append((f"{seed}", f"{share:.0%} of {total:,}", scored(tested["scores"], "auroc"), change))
    return markdown([header, *rows])


def border() -> list[str]:
    """Return how well each thing alone predicts the condition, without the columns derived from it."""
    shortcuts = report("eczema-shortcuts")
    names = {
        "(outer border)": "the outer border",
        "(whole picture)": "the whole picture",
        "skin_type": "the column skin_type",
        "source": "the column source",
    }
    header = ("predicted from", "balanced accuracy (95 %)", "AUROC (95 %)")
    rows = [
        (
            names[predictor["name"]],
            *(
                _with_interval(predictor["quality"][figure]["value"], predictor["quality"][figure]["ci95"])
                for figure in ("balanced_accuracy", "auroc")
            ),
        )
        for predictor in shortcuts["predictors"]
        if predictor["name"] in names
    ]
    return markdown([header, *rows, ("guessing", f"{1 / shortcuts['classes']:.3f}", "0.500")])


def marks() -> list[str]:
    """Return what generated marks change, for networks trained without and with them."""
    return _marked(MARKS)


def planted() -> list[str]:
    """Return the same for networks trained with letters on each picture of eczema."""
    return _marked(PLANTED)


def _marked(name: str) -> list[str]:
    header = (
        *("training", "AUROC without marks (95 %)", "mark", "answers that change"),
        *("share of the answers that are eczema (95 %)", "AUROC (95 %)"),
    )
    rows = []
    for training in ("strong", "marked"):
        scores = report(name)[training]
        for effect in scores["marks"]:
            eczema = next(label for label in effect["labels"] if label["label"] == "eczema")
            rows.append(
                (
                    f"`--augment {training}`",
                    scored(scores, "auroc"),
                    effect["kind"],
                    f"{effect['changed_answers']} of {effect['n']}",
                    changed(eczema["answers"]),
                    changed(effect["figures"]["auroc"]),
                )
            )
    return markdown([header, *rows])


def scored(figures: dict[str, Any], name: str) -> str:
    """Return a figure with its interval: 0.742 (0.701 to 0.780)."""
    return _with_interval(figures[name], figures[f"{name}_ci95"])


def changed(change: dict[str, Any]) -> str:
    """Return a difference with its interval: +0.012 (-0.003 to +0.025)."""
    ends = change["ci95"]
    interval = "–" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
    return f"{change['difference']:+.3f} ({interval})"


def _with_interval(value: float | None, ends: list[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f} ({'–' if ends is None else f'{ends[0]:.3f} to {ends[1]:.3f}'})"
