"""Whose skin it is and what is on it: the classes, and how often each kind of lesion stands for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dermpack.errors import InputError
from dermpack.synthetic import inflamed, pigmented
from dermpack.synthetic.skin import TONES, skin
from dermpack.synthetic.strokes import haired
from dermpack.synthetic.surface import Surface
from dermpack.synthetic.view import patch_side

Painter = Callable[[np.random.Generator, Surface], Surface]
SITES = (
    "abdomen",
    "back",
    "chest",
    "face",
    "foot",
    "hand",
    "lower extremity",
    "neck",
    "scalp",
    "upper extremity",
)
MISSING = 0.06  # of all metadata cells
HABIT = 0.5  # how often a kind of lesion is where it usually is
VIEWS = (2, 1, 3, 1, 4, 2, 1, 3, 1)  # pictures per lesion, in turn; nine lesions, so that no class gets more


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionKind:
    """One appearance: how it is painted, and whom it usually befalls, and where."""

    paint: Painter
    age: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A lesion, of which there are one or several pictures; empty text is missing metadata."""

    group: int
    label: str
    kind: LesionKind
    tone: int
    age: str
    sex: str
    localization: str


def _bare(rng: np.random.Generator, surface: Surface) -> Surface:  # noqa: ARG001 - a Painter
    return surface


HEALTHY = LesionKind(paint=_bare, age=40, sites=SITES)
FLUSHED = LesionKind(paint=inflamed.flushed, age=35, sites=("face", "chest", "neck"))
ECZEMA = LesionKind(paint=inflamed.eczema, age=28, sites=("hand", "neck", "upper extremity"))
PSORIASIS = LesionKind(
    paint=inflamed.psoriasis, age=45, sites=("scalp", "upper extremity", "lower extremity")
)
ACNE = LesionKind(paint=inflamed.acne, age=22, sites=("face", "back", "chest"))
VASCULAR = LesionKind(paint=inflamed.vascular, age=50, sites=("chest", "abdomen", "face"))
NEVUS = LesionKind(paint=pigmented.nevus, age=38, sites=("back", "abdomen", "lower extremity"))
MELANOMA = LesionKind(paint=pigmented.melanoma, age=60, sites=("back", "lower extremity", "face"))
BCC = LesionKind(paint=pigmented.bcc, age=66, sites=("face", "scalp", "neck"))

CLASSES: dict[int, dict[str, tuple[LesionKind, ...]]] = {
    2: {
        "eczema": (ECZEMA,),
        "not eczema": (PSORIASIS, FLUSHED, ACNE, ACNE, FLUSHED, ACNE, NEVUS, HEALTHY),
    },
    7: {
        "bcc": (BCC,),
        "eczema": (ECZEMA,),
        "melanoma": (MELANOMA,),
        "nevus": (NEVUS,),
        "other": (HEALTHY, ACNE, FLUSHED),
        "psoriasis": (PSORIASIS,),
        "vascular": (VASCULAR,),
    },
}


def case(group: int, *, classes: int, seed: int) -> Case:
    """The same lesion for the same numbers, whoever asks and however many others there are."""
    if classes not in CLASSES:
        what = "demo pictures exist for 2 or 7 classes only"
        raise InputError(f"{classes} classes", what, "Choose 2 or 7 classes.", code="invalid-option")
    rng = stream(seed, classes, group)
    label, kinds = list(CLASSES[classes].items())[group % classes]
    kind = kinds[rng.integers(len(kinds))]
    sites = kind.sites if rng.random() < HABIT else SITES
    age = int(np.clip(rng.normal(kind.age, 17), 1, 90))
    cells = (str(age), ("female", "male")[rng.integers(2)], sites[rng.integers(len(sites))])
    known_age, sex, localization = (cell if rng.random() > MISSING else "" for cell in cells)
    tone = int(rng.integers(len(TONES)))
    return Case(
        group=group, label=label, kind=kind, tone=tone, age=known_age, sex=sex, localization=localization
    )


def patch(lesion: Case, *, classes: int, size: int, seed: int) -> Surface:
    """The lesion on its skin, wide enough for pictures of `size` pixels."""
    rng = stream(seed, classes, lesion.group, 1)
    painted = lesion.kind.paint(rng, skin(rng, patch_side(size), tone=lesion.tone))
    return haired(rng, painted)


def stream(*numbers: int) -> np.random.Generator:
    """Random numbers of their own for everything that has a number of its own."""
    return np.random.Generator(np.random.PCG64(numbers))


def group_of(number: int) -> tuple[int, int]:
    """Lesion and view of a picture: group_of(0) → (0, 0), group_of(1) → (0, 1), group_of(2) → (1, 0)."""
    rounds, rest = divmod(number, sum(VIEWS))
    for at, views in enumerate(VIEWS):
        if rest < views:
            return rounds * len(VIEWS) + at, rest
        rest -= views
    raise AssertionError(number)
