"""Find how a file of unknown origin is fed, by the accuracy of each usual way on labelled training pictures.

The ways are compared on the same pictures. Few pictures are enough to drop most of them, so the number of
pictures grows as the number of ways shrinks. A way is chosen only if it is better than every other one
beyond chance; without a significant difference, the user must choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.quantize.calibration import choose_pictures
from dermpack.contract import ColorOrder, InputCandidate, InputEvidence
from dermpack.dataset.manifest import Dataset, Picture, Split
from dermpack.dataset.views import name_joined_groups
from dermpack.errors import InputError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import load_classifier
from dermpack.inference.foreign_model import DeclaredInput, ForeignModel, InputRange
from dermpack.inference.interpreter_host import InterpreterHost, first_installed_runtime, open_host
from dermpack.inference.label_list import require_known_labels
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import compare_metric, mcnemar
from dermpack.metrics.predictions import Predictions, as_truth
from dermpack.progress import Track, silent

ROUNDS = ((60, 6), (150, 4), (300, 4))  # pictures, and how many ways remain after them
SIGNIFICANT = 0.05  # p of McNemar's exact test, for all comparisons with the best way together
Z95 = 1.959964
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriedInput:
    """One way to feed the file, and its predictions of the pictures that it was tried on."""

    declared: DeclaredInput
    predictions: Predictions

    @property
    def name(self) -> str:
        """The way as its options: "0..1 RGB centre-square"."""
        return describe_input(self.declared)

    @property
    def accuracy(self) -> float:
        """The share of pictures with the right label."""
        return float(self.predictions.correct.mean())

    @property
    def ci95(self) -> tuple[float, float]:
        """The Wilson interval of the accuracy."""
        n, share = len(self.predictions), self.accuracy
        middle = share + Z95**2 / (2 * n)
        reach = Z95 * (share * (1 - share) / n + Z95**2 / (4 * n**2)) ** 0.5
        low, high = ((middle + sign * reach) / (1 + Z95**2 / n) for sign in (-1, 1))
        return max(0.0, low), min(1.0, high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundInput:
    """The chosen way, all ways that were tried, and notes on choices that made no difference."""

    declared: DeclaredInput
    tried: tuple[TriedInput, ...]  # the best first
    notes: tuple[str, ...] = ()

    def evidence(self) -> InputEvidence:
        """Return the record for the contract."""
        return InputEvidence(
            split=Split.TRAIN.value,
            n=len(self.tried[0].predictions),
            candidates=tuple(
                InputCandidate(name=one.name, n=len(one.predictions), accuracy=one.accuracy, ci95=one.ci95)
                for one in self.tried
            ),
            chosen=describe_input(self.declared),
        )


class InputChoiceError(InputError):
    """No way to feed the file is better than all others; `tried` are all of them, the best first."""

    def __init__(
        self, where: object, what: str, hint: str, *, code: str, tried: tuple[TriedInput, ...] = ()
    ) -> None:
        super().__init__(where, what, hint, code=code)
        self.tried = tried


def describe_input(declared: DeclaredInput) -> str:
    """Return a way to feed a file in words: "0..1 RGB centre-square"."""
    numbers = declared.range.value if declared.range else f"mean {declared.mean} std {declared.std}"
    color, policy = declared.color or ColorOrder.RGB, declared.policy or Policy.CENTRE_SQUARE
    return f"{numbers} {color.value} {policy.value.rpartition('-')[0]}"


def find_input(
    model: ForeignModel, dataset: Dataset, *, seed: int = 0, threads: int = 2, track: Track = silent
) -> FoundInput:
    """Try the usual ways on training pictures, and return the one that is better than every other one.

    Only what the user has not declared is varied. Raise InputChoiceError if none is better.
    """
    pictures = choose_pictures(dataset.manifest.of(Split.TRAIN), count=ROUNDS[-1][0], seed=seed)
    if not pictures:
        what = "the dataset has no training pictures"
        raise InputError("--find-input", what, "Import it with a training split.", code="empty-split")
    require_known_labels(dataset, model.labels, where=model.path)
    with PictureDecoder(jobs=threads) as decoder:
        files = [dataset.file(picture) for picture in pictures]
        rows = {
            policy: np.stack(list(decoder.prepare_all(files, model.size, policy=policy)))
            for policy in ([model.declared.policy] if model.declared.policy else Policy)
        }
    remaining = list(_list_inputs(model.declared, rows))
    notes = ["all pictures are squares: the two ways to resize are the same"] if _is_square(rows) else []
    dropped: list[TriedInput] = []
    with open_host(first_installed_runtime()) as host:
        for count, survivors in ROUNDS:
            count = min(count, len(pictures))
            tried = []
            for declared in track(remaining, total=len(remaining), what=f"Trying inputs on {count} pictures"):
                pixels = rows[declared.policy or Policy.CENTRE_SQUARE][:count]
                predictions = _predict(host, model, declared, pixels, pictures[:count], threads=threads)
                tried.append(TriedInput(declared=declared, predictions=predictions))
            tried.sort(key=lambda one: -one.accuracy)
            dropped = tried[survivors:] + dropped
            remaining = [one.declared for one in tried[:survivors]]
            if count == len(pictures):
                break
    finalists = tried[:survivors]
    return _choose(model.path, finalists, tuple(finalists + dropped), tuple(notes))


def _list_inputs(declared: DeclaredInput, rows: dict[Policy, Pixels]) -> Iterator[DeclaredInput]:
    """Yield every usual way that agrees with what is declared."""
    ranges = [declared.range] if declared.has_normalization else list(InputRange)
    colors = [declared.color] if declared.color else list(ColorOrder)
    policies = list(rows)[:1] if _is_square(rows) else list(rows)
    for range_, color, policy in product(ranges, colors, policies):
        yield replace(declared, range=range_, color=color, policy=policy)


def _is_square(rows: dict[Policy, Pixels]) -> bool:
    first, *others = rows.values()
    return bool(others) and all(np.array_equal(first, other) for other in others)


def _predict(
    host: InterpreterHost,
    model: ForeignModel,
    declared: DeclaredInput,
    pixels: Pixels,
    pictures: Sequence[Picture],
    *,
    threads: int,
) -> Predictions:
    settings = ModelSettings(labels=model.labels, interface=model.interface(declared))
    classifier = load_classifier(host, model.data, where=model.path, sidecar=settings, threads=threads)
    probabilities = classifier.run_all(pixels).probabilities
    # Numbers far from those of the training can overflow; such an output favours no label.
    is_finite = np.isfinite(probabilities).all(axis=1, keepdims=True)
    probabilities = np.where(is_finite, probabilities, 1 / len(model.labels))
    return Predictions(
        classes=model.labels,
        pictures=tuple(picture.path for picture in pictures),
        groups=name_joined_groups(pictures),
        truth=as_truth([model.labels.index(picture.label) for picture in pictures]),
        probabilities=probabilities,
    )


def _choose(
    path: Path, finalists: list[TriedInput], tried: tuple[TriedInput, ...], notes: tuple[str, ...]
) -> FoundInput:
    best, *others = finalists
    present = len(set(best.predictions.truth.tolist()))
    if best.ci95[0] <= 1 / present:
        what = f"no usual way to feed it is better than chance (the best: {best.name}, {best.accuracy:.1%})"
        hint = "Check the order of --labels and --head, or declare the input with --mean and --std."
        raise InputChoiceError(path, what, hint, code="input-not-found", tried=tried)
    rivals = [other for other in others if not _is_better(best, other, comparisons=len(others))]
    if rivals:
        names = ", ".join(f"{one.name} ({one.accuracy:.1%})" for one in (best, *rivals))
        what = f"these ways to feed it cannot be told apart on {len(best.predictions)} pictures: {names}"
        hint = "Choose one with --input-range, --color and --resize."
        # Where two labels are exchanged, several ways are better than chance and none is right. Of three
        # labels, at most one is then answered well: fewer pictures than halfway between chance and all.
        if best.accuracy < (1 + 1 / present) / 2:
            hint = f"{hint[:-1]}, or check the order of --labels: all accuracies are low."
        raise InputChoiceError(path, what, hint, code="input-ambiguous", tried=tried)
    return FoundInput(declared=best.declared, tried=tried, notes=notes)


def _is_better(best: TriedInput, other: TriedInput, *, comparisons: int) -> bool:
    """Return whether the difference is beyond chance: by pictures, and by groups of them."""
    if mcnemar(best.predictions, other.predictions).p_value >= SIGNIFICANT / comparisons:
        return False
    change = compare_metric(other.predictions, best.predictions, OVERALL["accuracy"])
    return change.ci95 is None or change.ci95[0] > 0
