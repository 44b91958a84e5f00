"""The sections of the dataset report on pixels: suspected label errors, unusual pictures, shortcuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dermpack.metrics.summary import Figure
from dermpack.reporting.page import NO_VALUE, Block, Callout, Details, Facts, Image, Level, Section, Table
from trainer.datasets.exploration.pixels.cross_validation import FOLDS, MIN_PICTURES
from trainer.datasets.exploration.pixels.label_errors import MAX_ODDS, LabelErrors
from trainer.datasets.exploration.pixels.picture_analysis import PictureAnalysis
from trainer.datasets.exploration.pixels.shortcuts import CHANCE, MIN_AUROC, PredictorKind, Shortcuts
from trainer.datasets.exploration.pixels.unusual_pictures import MIN_PICTURES as MIN_FOR_OUTLIERS
from trainer.datasets.exploration.pixels.unusual_pictures import UnusualKind, UnusualPictures

MAX_ROWS = 40  # of a table on the page; report.json has more
MAX_NAMED = 5
# Kind of unusual picture → how the page names it, what its value is, and how to format the value.
UNUSUAL = {
    "unlike_others": ("unlike the others", "standard deviations", ".1f", "at least"),
    "blurred": ("blurred", "sharpness", ".2f", "below"),
    "dark": ("dark", "brightest grey level, of 255", ".0f", "below"),
    "white": ("white", "share of white pixels", ".2f", "above"),
}
SUSPECTS_EXPLAINED = (
    "A suspected error is not a proven one: rare appearances, poor pictures and similar conditions look like "
    "errors too, and a wrong label that many pictures share is not found. Ask an expert of the condition."
)
UNUSUAL_EXPLAINED = (
    "Look at these pictures and decide whether they belong in the dataset. “Unlike the others” finds "
    "photographs of other things; it does not find another kind of skin picture in a varied dataset."
)
SHORTCUTS_EXPLAINED = (
    "A model learns whatever predicts the label. A column that does so well may show where the pictures come "
    "from: score the model within each of its values. The outer border may show letters, rulers or dark "
    "corners, and also the condition itself: compare it with the whole picture."
)


def create_analysis_sections(
    analysis: PictureAnalysis | None, sheets: Mapping[str, Image]
) -> tuple[Section, ...]:
    """Return the three sections, or none without an analysis; `sheets` has a contact sheet by kind."""
    if analysis is None:
        return ()
    analysed = f"{analysis.analysed:,} of {analysis.pictures:,} pictures were analysed."
    if analysis.unreadable:
        analysed += f" {analysis.unreadable:,} chosen pictures are missing, changed or broken."
    return (
        _create_label_section(analysis.label_errors, analysed, sheets),
        _create_unusual_section(analysis.unusual, analysis.features_missing, analysed, sheets),
        _create_shortcut_section(analysis.shortcuts, analysed),
    )


def find_analysis_warnings(analysis: PictureAnalysis) -> Iterator[tuple[Level, str]]:
    """Yield the warnings about the pixels, which the summary shows."""
    errors, unusual = analysis.label_errors, analysis.unusual
    if errors.suspected:
        yield (
            Level.NOTE,
            f"{errors.suspected:,} of {errors.judged:,} pictures have a suspected label error: another label "
            f"is at least {errors.min_odds:g} times as likely. Look at them.",
        )
    found = [f"{kind.found:,} {UNUSUAL[name][0]}" for name, kind in _unusual_kinds(unusual) if kind.found]
    if found:
        yield Level.NOTE, f"Unusual pictures among {unusual.n:,}: {', '.join(found)}. Look at them."
    for name in analysis.shortcuts.same_as_label[:MAX_NAMED]:
        what = f"The column “{name}” divides the pictures exactly as the label does"
        yield Level.NOTE, f"{what}: it is the label in other words, or a perfect shortcut."
    for one in [one for one in analysis.shortcuts.predictors if one.is_suspicious][:MAX_NAMED]:
        what = "The outer border of the pictures alone predicts"
        if one.kind is PredictorKind.COLUMN:
            what = f"The column “{one.name}” alone predicts"
        yield (
            Level.NOTE,
            f"{what} the label with an AUROC of {_format_figure(one.quality.auroc)} (guessing: {CHANCE:g}; "
            f"n = {analysis.shortcuts.n:,}): a possible shortcut.",
        )


def _unusual_kinds(unusual: UnusualPictures) -> list[tuple[str, UnusualKind]]:
    kinds = {name: getattr(unusual, name) for name in UNUSUAL}
    return [(name, kind) for name, kind in kinds.items() if kind is not None]


def _create_label_section(errors: LabelErrors, analysed: str, sheets: Mapping[str, Image]) -> Section:
    title = "Suspected label errors"
    if errors.refusal or errors.quality is None:
        return Section(title, [f"Not measured: {errors.refusal}. {analysed}"])
    text = (
        f"A classifier on the features of a small pretrained network predicted each of {errors.judged:,} "
        f"pictures after it was fitted on the others ({FOLDS} folds; groups and near duplicates stay "
        f"together). Its balanced accuracy is {_format_figure(errors.quality.balanced_accuracy)}, "
        f"its AUROC of {_format_figure(errors.quality.auroc)}. Suspected are pictures for which another "
        f"label is at least {errors.min_odds:g} times as likely as the given one. {analysed}"
    )
    suspected = f"{errors.suspected:,} ({errors.suspected / max(errors.judged, 1):.1%})"
    blocks: list[Block] = [text, Facts([("judged", f"{errors.judged:,}"), ("suspected", suspected)])]
    if errors.suspects:
        blocks.append(SUSPECTS_EXPLAINED)
    if "label_errors" in sheets:
        blocks.append(sheets["label_errors"])
    if errors.suspects:
        rows = [
            [one.picture, one.label, one.suggested, f"{'≥ ' * (one.odds >= MAX_ODDS)}{one.odds:,.0f}"]
            for one in errors.suspects[:MAX_ROWS]
        ]
        caption = f"The most suspicious pictures ({len(rows):,} of {errors.suspected:,})"
        blocks.append(Table(caption, ["picture", "given label", "suggested label", "odds"], rows))
    if errors.not_judged:
        rows = [[label, f"{n:,}"] for label, n in errors.not_judged]
        caption = f"Classes not judged: fewer than {MIN_PICTURES} pictures or {FOLDS} groups"
        blocks.append(Table(caption, ["class", "pictures"], rows))
    return Section(title, blocks)


def _create_unusual_section(
    unusual: UnusualPictures, features_missing: str, analysed: str, sheets: Mapping[str, Image]
) -> Section:
    kinds = _unusual_kinds(unusual)
    rows = []
    for name, kind in kinds:
        title, value, form, relation = UNUSUAL[name]
        share = f"{kind.found / max(unusual.n, 1):.1%}"
        rows.append([title, f"{value} {relation} {kind.threshold:{form}}", f"{kind.found:,}", share])
    blocks: list[Block] = [f"{UNUSUAL_EXPLAINED} {analysed}"]
    blocks.append(
        Table(f"Unusual pictures among {unusual.n:,}", ["kind", "threshold", "pictures", "share"], rows)
    )
    if unusual.unlike_others is None:
        reason = features_missing or f"fewer than {MIN_FOR_OUTLIERS} pictures"
        blocks.append(f"“Unlike the others” was not measured: {reason}.")
    for name, kind in kinds:
        if not kind.found:
            continue
        title, value, form, _ = UNUSUAL[name]
        if name in sheets:
            blocks.append(sheets[name])
        rows = [[one.picture, one.label, f"{one.value:{form}}"] for one in kind.pictures[:MAX_ROWS]]
        caption = f"{title.capitalize()}: {len(rows):,} of {kind.found:,} pictures"
        blocks.append(Details(caption, Table(caption, ["picture", "label", value], rows)))
    return Section("Unusual pictures", blocks)


def _create_shortcut_section(shortcuts: Shortcuts, analysed: str) -> Section:
    title = "Possible shortcuts"
    if shortcuts.refusal:
        return Section(title, [f"Not measured: {shortcuts.refusal}. {analysed}"])
    text = (
        f"Each row predicts the label from one thing alone, on {shortcuts.n:,} pictures in "
        f"{shortcuts.groups:,} groups and {shortcuts.classes:,} classes ({FOLDS} folds; groups and near "
        f"duplicates stay together). Guessing has a balanced accuracy of {1 / shortcuts.classes:.3f} and an "
        f"AUROC of {CHANCE:g}. In brackets: 95 % intervals over groups. {SHORTCUTS_EXPLAINED}"
    )
    rows = []
    for one in shortcuts.predictors:
        quality = one.quality
        verdict = f"yes: at least {MIN_AUROC:g}" if one.is_suspicious else "no"
        rows.append(
            [
                one.name,
                f"{one.values:,}" if one.kind is PredictorKind.COLUMN else NO_VALUE,
                _format_figure(quality.balanced_accuracy),
                _format_figure(quality.auroc),
                f"{quality.best_class} ({quality.best_auroc:.3f})",
                NO_VALUE if one.kind is PredictorKind.PICTURE else verdict,
            ]
        )
    header = ["predicted from", "values", "balanced accuracy", "AUROC", "best class", "possible shortcut"]
    blocks: list[Block] = [text, Table("How well one thing alone predicts the label", header, rows)]
    if any(one.is_suspicious for one in shortcuts.predictors):
        what = "Check the rows marked “yes” before you trust a model that was trained on these pictures."
        blocks.append(Callout(Level.NOTE, what))
    if shortcuts.excluded:
        blocks.append(Table("Columns not measured", ["column", "reason"], shortcuts.excluded))
    return Section(title, blocks)


def _format_figure(figure: Figure) -> str:
    """Format a value and its interval: "0.712 (0.698–0.731)"."""
    if figure.value is None:
        return NO_VALUE
    interval = f" ({figure.ci95[0]:.3f}–{figure.ci95[1]:.3f})" if figure.ci95 else ""
    return f"{figure.value:.3f}{interval}"
