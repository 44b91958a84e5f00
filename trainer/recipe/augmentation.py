"""Provide the values of augmentation: how far a training picture may be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dermpack.errors import TableError

MARKED_SHARE = 0.5  # of the pictures of every class, so that a mark does not predict the label
HINT = "See docs/training.md for the keys and their ranges."


def strength(most: float) -> Any:
    """Return a field of `Augmentation`: a number of the type of `most`, from 0 (no change) to it."""
    return field(default=type(most)(0), metadata={"most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Limits of the random changes; new values are drawn for each picture and epoch. 0 changes nothing."""

    flips: bool = False  # left to right: skin has no handedness
    rotation_degrees: float = strength(180.0)  # either way; 180 is any direction
    zoom_in: float = strength(0.9)  # 0.3: the crop shrinks down to 0.7 of the side
    zoom_out: float = strength(0.9)  # 0.1: the crop grows up to 1.1 of the side, mirrored at the edge
    shift: float = strength(0.5)  # as a share of the side, either way
    brightness: float = strength(1.0)  # as a share of half the value range, either way
    contrast: float = strength(1.0)  # either way, about mid-grey
    mixup: float = strength(8.0)  # alpha of the beta distribution; applies to cached features too
    cutmix: float = strength(8.0)  # likewise, for a rectangle of another picture; needs pictures
    operations: int = strength(4)  # random colour operations for each picture, as in RandAugment
    magnitude: float = strength(1.0)  # of these operations
    marks: float = strength(1.0)  # share of the pictures that get letters, a ruler or a line of text

    def __post_init__(self) -> None:
        for name, most in MAX_VALUES.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                what = f"{name} = {value} is not between 0 and {most:g}"
                raise TableError("augment", what, HINT, code="invalid-option")
        what = ""
        if self.mixup and self.cutmix:
            what = "mixup and cutmix exclude each other"
        elif bool(self.operations) != bool(self.magnitude):
            what = "operations and magnitude need each other"
        if what:
            raise TableError("augment", what, HINT, code="conflicting-options")

    @property
    def mixes_pictures(self) -> bool:
        """Whether a training example is made of two pictures of a batch."""
        return bool(self.mixup or self.cutmix)

    @property
    def changes_pixels(self) -> bool:
        """Whether anything but mixup is on: mixup blends inputs of the network, the others need pixels."""
        return replace(self, mixup=0.0) != Augmentation()


MAX_VALUES: Mapping[str, float] = {
    item.name: item.metadata["most"] for item in fields(Augmentation) if "most" in item.metadata
}
STRONG = Augmentation(
    flips=True, rotation_degrees=180, zoom_in=0.3, zoom_out=0.05, shift=0.1, brightness=0.15, contrast=0.2
)
AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        flips=True, rotation_degrees=20, zoom_in=0.1, zoom_out=0.1, shift=0.05, brightness=0.05, contrast=0.05
    ),
    "strong": STRONG,
    "marked": replace(STRONG, marks=MARKED_SHARE),
}


def parse_augmentation(values: Mapping[str, Any], *, where: object) -> Augmentation:
    """Return the augmentation with these values, from a file or the record of a run; check keys and types."""
    known = [item.name for item in fields(Augmentation)]
    for name, value in values.items():
        if name not in known:
            hint = f"Use only {', '.join(known)}."
            raise TableError(where, f"unknown key {name!r}", hint, code="invalid-option")
        # bool is a subclass of int: `mixup = true` must not become 1.
        counts = isinstance(MAX_VALUES.get(name), int)
        is_whole = isinstance(value, int) or not counts
        if isinstance(value, bool) != (name == "flips") or not isinstance(value, int | float) or not is_whole:
            number = "an integer" if counts else "a number"
            wanted = f"{number} from 0 to {MAX_VALUES[name]:g}" if name in MAX_VALUES else "true or false"
            raise TableError(where, f"{name} = {value!r} is not {wanted}", HINT, code="invalid-option")
    return Augmentation(**values)
