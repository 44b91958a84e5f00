"""Check whether an evidence map shows where the answer comes from: the usual sanity checks.

- Deletion: the places with most evidence for the predicted label are covered first; the label's probability
  should fall faster than with places in a random order. Insertion is the opposite, from an empty picture.
- Shuffled weights: the map of a network whose weights were shuffled should be another map.
- Occlusion: a map that was made by covering parts of the picture should be similar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging.evidence_overlay import draw_overlay
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import Classifier
from dermpack.inference.occlusion import occlusion_map
from dermpack.progress import Track, silent

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
PICTURES = 64  # at most, at even distances in the split
OCCLUDED = 16  # of these: an occlusion map costs an inference for each place
STEPS = 10  # of a curve
RESAMPLES = 1000
Interval = tuple[float, float]
# Opens the file with shuffled weights: of the last layer, of all layers.
Shuffled = Mapping[str, Callable[[], AbstractContextManager[Classifier]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanFigure:
    """The mean over pictures with its 95 % bootstrap interval."""

    value: float
    ci95: Interval
    n: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvidenceChecks:
    """The figures of the checks, and the mean curves: name → probability of the label at each share."""

    n: int
    shares: tuple[float, ...]  # of the places that are covered or shown
    curves: Mapping[str, tuple[float, ...]]
    figures: Mapping[str, MeanFigure]

    def record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "n": self.n,
            "shares": list(self.shares),
            "curves": {name: list(curve) for name, curve in self.curves.items()},
            "figures": {
                name: {"value": figure.value, "ci95": list(figure.ci95), "n": figure.n}
                for name, figure in self.figures.items()
            },
        }


def check_evidence_maps(
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    *,
    policy: Policy,
    shuffled: Shuffled,
    seed: int = 0,
    track: Track = silent,
) -> EvidenceChecks:
    """Run the sanity checks on pictures of a split."""
    # 1. The pictures, their answers and their maps for the predicted label.
    pictures = dataset.manifest.of(split)
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(PICTURES, len(pictures))).astype(int))
    files = [dataset.file(pictures[index]) for index in chosen]
    with PictureDecoder() as decoder:
        pixels = np.stack(list(decoder.prepare_all(files, classifier.size, policy=policy)))
    maps, labels = predicted_maps(classifier, pixels)
    # 2. Curves: cover or show the places in the order of the evidence, or in a random one.
    generator = np.random.default_rng(seed)
    rows: dict[str, list[Floats]] = {}
    counts = np.unique(np.round(np.linspace(0, maps[0].size, STEPS + 1)).astype(int))
    answered = list(zip(pixels, labels, maps, strict=True))
    for picture, label, evidence in track(answered, total=len(pixels), what="Checking evidence"):
        orders = {
            "": np.argsort(-evidence.ravel(), kind="stable"),
            " at random": generator.permutation(evidence.size),
        }
        for name, order in orders.items():
            for kind, is_shown in (("deletion", False), ("insertion", True)):
                states = cover_places(picture, order, counts, evidence.shape, is_shown=is_shown)
                curve = classifier.classify(states)[:, label]
                rows.setdefault(f"{kind}{name}", []).append(curve)
    areas = {name: np.mean(curves, axis=1) for name, curves in rows.items()}
    samples = {
        **areas,
        "deletion gain": areas["deletion at random"] - areas["deletion"],
        "insertion gain": areas["insertion"] - areas["insertion at random"],
        "occlusion correlation": _compare_with_occlusion(classifier, pixels, labels, maps),
    }
    # 3. Maps of shuffled networks, for the same labels.
    for name, open_shuffled in shuffled.items():
        with open_shuffled() as other:
            others, _ = predicted_maps(other, pixels, labels)
        samples[f"correlation after shuffling {name}"] = rank_correlations(maps, others)
    return EvidenceChecks(
        n=len(pixels),
        shares=tuple(float(count / maps[0].size) for count in counts),
        curves={name: tuple(np.mean(curves, axis=0).tolist()) for name, curves in rows.items()},
        figures={name: _mean_figure(values, seed) for name, values in samples.items()},
    )


def predicted_maps(
    classifier: Classifier, pixels: Pixels, labels: Sequence[int] | None = None
) -> tuple[Floats, Sequence[int]]:
    """Return the map of each picture for its given or predicted label, [n, height, width], and the labels."""
    outputs = classifier.run(pixels)
    assert outputs.evidence is not None
    if labels is None:
        labels = [int(label) for label in outputs.probabilities.argmax(axis=1)]
    return outputs.evidence[np.arange(len(pixels)), :, :, labels], labels


def cover_places(
    picture: Pixels, order: NDArray[np.intp], counts: NDArray[np.intp], grid: Sequence[int], *, is_shown: bool
) -> Pixels:
    """Return the picture with the first places of an order covered by its mean colour, for each count.

    With `is_shown` these places alone are shown.
    """
    side = picture.shape[0]
    rows, columns = (np.minimum(np.arange(side) * count // side, count - 1) for count in grid)
    places = rows[:, None] * grid[1] + columns[None]
    rank = np.empty(order.size, np.intp)
    rank[order] = np.arange(order.size)
    mean = np.rint(picture.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    is_first = rank[places][None] < counts[:, None, None]
    is_covered = ~is_first if is_shown else is_first
    covered: Pixels = np.where(is_covered[..., None], mean, picture[None])
    return covered


def _compare_with_occlusion(
    classifier: Classifier, pixels: Pixels, labels: Sequence[int], maps: Floats
) -> Floats:
    """Return the rank correlation of the map with that of occlusion, for some of the pictures."""
    indices = np.unique(np.linspace(0, len(pixels) - 1, min(OCCLUDED, len(pixels))).astype(int))
    rows, columns = maps.shape[1:]
    occluded = [
        occlusion_map(classifier.classify, pixels[index], labels[index], rows=rows, columns=columns)
        for index in indices
    ]
    return rank_correlations(maps[indices], np.stack(occluded))


def rank_correlations(first: Floats, second: Floats) -> Floats:
    """Return Spearman's correlation of each pair of maps; 0 if one of them is the same everywhere."""
    found = []
    for one, other in zip(first, second, strict=True):
        a, b = _ranks(one.ravel()), _ranks(other.ravel())
        spread = a.std() * b.std()
        found.append(float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0)
    return np.array(found)


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value; equal values, which 8 bits have, get the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _mean_figure(values: Floats, seed: int) -> MeanFigure:
    generator = np.random.default_rng(seed)
    draws = values[generator.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    return MeanFigure(value=float(values.mean()), ci95=(float(low), float(high)), n=len(values))


def draw_maps(classifier: Classifier, files: Sequence[Path], *, policy: Policy) -> list[bytes]:
    """Return the overlay of each picture for its predicted label, as PNG."""
    if not files:
        return []
    with PictureDecoder() as decoder:
        pixels = np.stack(list(decoder.prepare_all(files, classifier.size, policy=policy)))
    maps, _ = predicted_maps(classifier, pixels)
    return [draw_overlay(picture, evidence) for picture, evidence in zip(pixels, maps, strict=True)]
