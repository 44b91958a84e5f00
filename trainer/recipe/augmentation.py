"""How far a training picture may be changed, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from dermpack.errors import TableError

HINT = "See docs/training.md for the keys and their ranges."


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Each value is drawn anew for each picture and epoch; the zeros change nothing."""

    flips: bool = False  # left to right: skin has no handedness
    rotation_degrees: float = 0.0  # either way; 180 is any direction
    zoom_in: float = 0.0  # 0.3: down to 0.7 of the side is seen
    zoom_out: float = 0.0  # 0.1: up to 1.1 of the side, mirrored at the edge
    shift: float = 0.0  # of the side, either way
    brightness: float = 0.0  # of half the range, either way
    contrast: float = 0.0  # either way, about mid-grey
    mixup: float = 0.0  # the alpha of its beta distribution; works on activations too

    def __post_init__(self) -> None:
        for name, highest in LARGEST.items():
            if not 0 <= getattr(self, name) <= highest:
                what = f"{name} = {getattr(self, name)} is not between 0 and {highest:g}"
                raise TableError("augment", what, HINT, code="invalid-option")

    @property
    def changes_pixels(self) -> bool:
        return replace(self, mixup=0.0) != Augmentation()

    def record(self) -> dict[str, Any]:
        return asdict(self)


LARGEST: Mapping[str, float] = {
    "rotation_degrees": 180.0,
    "zoom_in": 0.9,
    "zoom_out": 0.9,
    "shift": 0.5,
    "brightness": 1.0,
    "contrast": 1.0,
    "mixup": 8.0,
}
NAMED: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        flips=True, rotation_degrees=20, zoom_in=0.1, zoom_out=0.1, shift=0.05, brightness=0.05, contrast=0.05
    ),
    "strong": Augmentation(
        flips=True,
        rotation_degrees=180,
        zoom_in=0.3,
        zoom_out=0.05,
        shift=0.1,
        brightness=0.15,
        contrast=0.2,
    ),
}


def augmentation_from(values: Mapping[str, Any], *, where: object) -> Augmentation:
    """Read exact values, as in a file or a run's record; an unknown key is an error."""
    known = {field.name: field.type for field in fields(Augmentation)}
    for name, value in values.items():
        if name not in known:
            hint = f"Use only {', '.join(known)}."
            raise TableError(where, f"unknown key {name!r}", hint, code="invalid-option")
        if isinstance(value, bool) != (name == "flips") or not isinstance(value, int | float):
            wanted = f"a number from 0 to {LARGEST[name]:g}" if name in LARGEST else "true or false"
            raise TableError(where, f"{name} = {value!r} is not {wanted}", HINT, code="invalid-option")
    return Augmentation(**values)
