"""A patch of skin as colour and height, before any light falls on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dermpack.synthetic.field import Field, slopes

Colour = tuple[float, float, float]  # red, green, blue; 1 is white for a paint, "unchanged" for a tint


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What a camera would see in flat light, and the relief that real light shades."""

    colour: Field  # [3, side, side], 0 to 1: whole planes are quicker than pixels
    height: Field  # [side, side], in units of which 1 is a thick crust

    @property
    def side(self) -> int:
        return self.height.shape[0]

    def stained(self, amount: Field, tint: Colour) -> Surface:
        """Multiply by the tint where `amount` is 1: pigment and blood darken what is there."""
        loss = 1 - planes(tint)
        return replace(self, colour=self.colour * (1 - amount * loss))

    def covered(self, amount: Field, paint: Colour) -> Surface:
        """Mix with the paint where `amount` is 1: scale, crust and hair hide what is there."""
        return replace(self, colour=self.colour + (planes(paint) - self.colour) * amount)

    def raised(self, amount: Field) -> Surface:
        return replace(self, height=self.height + amount)

    def shaded(self, *, light: tuple[float, float]) -> Field:
        """Colour under light from the side (x, y); slopes towards it shine, slopes away are dark."""
        across, down = slopes(self.height)
        scale = np.float32(self.side / 100)  # the same relief at every size
        shade = np.clip((across * np.float32(light[0]) + down * np.float32(light[1])) * scale, -0.45, 0.45)
        lit: Field = self.colour * (1 + shade)
        return lit


def planes(colour: Colour) -> Field:
    """One number a plane: [3, 1, 1], to be spread over [3, side, side]."""
    return np.asarray(colour, dtype=np.float32)[:, np.newaxis, np.newaxis]
