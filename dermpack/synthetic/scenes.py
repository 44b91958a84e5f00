"""Render photographs of generated lesions: the classes, the cases, and the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from dermpack.errors import InputError
from dermpack.synthetic import lesions
from dermpack.synthetic.painting import Surface, add_hair, axes

Pixels = npt.NDArray[np.uint8]  # [size, size, 3]
Painter = Callable[[np.random.Generator, Surface], Surface]
SITES = (
    *("abdomen", "back", "chest", "face", "foot", "hand"),
    *("lower extremity", "neck", "scalp", "upper extremity"),
)
MISSING_SHARE = 0.06  # of all metadata cells
USUAL_SITE_SHARE = 0.5  # how often a kind of lesion is at one of its usual sites
VIEWS = (2, 1, 3, 1, 4, 2, 1, 3, 1)  # pictures per lesion, repeated; nine, so that no class gets more
PATCH_SCALE = 1.4  # a patch is larger than a picture of it: the camera can turn and move
QUARTER_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionKind:
    """One appearance: its painter, the mean age of the patients, and its usual sites."""

    paint: Painter
    age: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A lesion with one or more pictures; missing metadata is an empty string."""

    label: str
    kind: LesionKind
    tone: int
    age: str
    sex: str
    localization: str


HEALTHY = LesionKind(paint=lesions.paint_nothing, age=40, sites=SITES)
FLUSHED = LesionKind(paint=lesions.paint_flush, age=35, sites=("face", "chest", "neck"))
ECZEMA = LesionKind(paint=lesions.paint_eczema, age=28, sites=("hand", "neck", "upper extremity"))
PSORIASIS = LesionKind(
    paint=lesions.paint_psoriasis, age=45, sites=("scalp", "upper extremity", "lower extremity")
)
ACNE = LesionKind(paint=lesions.paint_acne, age=22, sites=("face", "back", "chest"))
VASCULAR = LesionKind(paint=lesions.paint_vascular, age=50, sites=("chest", "abdomen", "face"))
NEVUS = LesionKind(paint=lesions.paint_nevus, age=38, sites=("back", "abdomen", "lower extremity"))
MELANOMA = LesionKind(paint=lesions.paint_melanoma, age=60, sites=("back", "lower extremity", "face"))
BCC = LesionKind(paint=lesions.paint_bcc, age=66, sites=("face", "scalp", "neck"))

# Number of classes → label → its kinds; a kind that is listed twice is drawn twice as often.
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


def render(number: int, *, classes: int = 2, size: int = 224, seed: int = 0) -> Pixels:
    """Render picture `number` of the demo pictures: uint8 [size, size, 3].

    The same arguments give the same pixels.
    """
    group, view = group_of(number)
    return render_views(group, (view,), classes=classes, size=size, seed=seed)[0]


def render_views(
    group: int, views: tuple[int, ...], *, classes: int, size: int, seed: int
) -> tuple[Pixels, ...]:
    """Render several photographs of one lesion; its patch is painted once."""
    lesion = draw_case(group, classes=classes, seed=seed)
    rng = _generator(seed, classes, group, 1)
    skin = lesions.paint_skin(rng, max(8, round(size * PATCH_SCALE)), tone=lesion.tone)
    patch = add_hair(rng, lesion.kind.paint(rng, skin))
    return tuple(_photograph(_generator(seed, classes, group, 2, view), patch, size) for view in views)


def draw_case(group: int, *, classes: int, seed: int) -> Case:
    """Draw the lesion of a group. It depends on nothing but these numbers, not on the size of the dataset."""
    if classes not in CLASSES:
        what = "demo pictures exist for 2 or 7 classes only"
        raise InputError(f"{classes} classes", what, "Choose 2 or 7 classes.", code="invalid-option")
    rng = _generator(seed, classes, group)
    label, kinds = list(CLASSES[classes].items())[group % classes]
    kind = kinds[rng.integers(len(kinds))]
    sites = kind.sites if rng.random() < USUAL_SITE_SHARE else SITES
    age = int(np.clip(rng.normal(kind.age, 17), 1, 90))
    cells = (str(age), ("female", "male")[rng.integers(2)], sites[rng.integers(len(sites))])
    known_age, sex, localization = (cell if rng.random() > MISSING_SHARE else "" for cell in cells)
    tone = int(rng.integers(len(lesions.TONES)))
    return Case(label=label, kind=kind, tone=tone, age=known_age, sex=sex, localization=localization)


def group_of(number: int) -> tuple[int, int]:
    """Return lesion and view of a picture: 0 → (0, 0), 1 → (0, 1), 2 → (1, 0)."""
    rounds, rest = divmod(number, sum(VIEWS))
    for index, count in enumerate(VIEWS):
        if rest < count:
            return rounds * len(VIEWS) + index, rest
        rest -= count
    raise AssertionError(number)


def _generator(*numbers: int) -> np.random.Generator:
    """Return an independent random generator for each tuple of numbers."""
    return np.random.Generator(np.random.PCG64(numbers))


def _photograph(rng: np.random.Generator, patch: Surface, size: int) -> Pixels:
    """Shade, frame, light and blur a patch, and add noise: uint8 [size, size, 3]."""
    x, y = rng.uniform(-1, 1, 2) * 0.9
    light = (float(x) + (0.35 if x > 0 else -0.35), float(y))
    lit = np.clip(patch.shaded(light=light) * np.float32(255), 0, 255).astype(np.uint8)
    framed = _frame(rng, Image.merge("RGB", [Image.fromarray(plane) for plane in lit]), size)
    # The room: exposure, white balance, a gradient and darker corners, a factor per [row, column * 3].
    across, down = axes(size)
    slope_x, slope_y = rng.uniform(-0.14, 0.14, 2).astype(np.float32)
    corners = np.float32(rng.uniform(0, 0.16)) * (across * across + down * down)
    gains = (rng.uniform(0.80, 1.10) * rng.uniform(0.945, 1.055, 3)).astype(np.float32)
    grey = 1 + slope_x * across + slope_y * down - corners
    lighting = np.repeat(grey, 3, axis=1) * np.tile(gains, size)
    seen = np.asarray(framed, dtype=np.float32).reshape(size, -1) * lighting
    # The sensor: noise that is equal in all three channels; 0.5 makes the final cast round.
    noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(rng.uniform(0.5, 3.5))
    seen += np.repeat(noise + np.float32(0.5), 3, axis=1)
    return np.clip(seen, 0, 255).astype(np.uint8).reshape(size, size, 3)


def _frame(rng: np.random.Generator, patch: Image.Image, size: int) -> Image.Image:
    """Cut a turned, tilted and slightly moved square out of the patch, and blur some of them."""
    side, angle = patch.width, radians(rng.uniform(-15, 15))
    reach = rng.uniform(0.62, 0.72) * side / size  # patch pixels per picture pixel
    tilt_x, tilt_y = rng.uniform(0.92, 1.0, 2)
    # An affine map from picture to patch: rotation by `angle`, one scale per axis, a moved centre.
    a, b = reach * tilt_x * cos(angle), -reach * tilt_y * sin(angle)
    d, e = reach * tilt_x * sin(angle), reach * tilt_y * cos(angle)
    x, y = side * (0.5 + rng.uniform(-0.035, 0.035, 2))
    matrix = (a, b, x - (a + b) * size / 2, d, e, y - (d + e) * size / 2)
    quarters = int(rng.integers(4))
    turned = patch.transpose(QUARTER_TURNS[quarters - 1]) if quarters else patch
    framed = turned.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    if rng.random() < 0.6:
        return framed
    return framed.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * size / 224))
