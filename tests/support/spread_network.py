"""Spread the depthwise channels of a network far apart, without changing its function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Keras = Any
Floats = NDArray[np.float64]
DECADES = 2.0  # in each direction: the range of the widest channel is 10⁴ times that of the narrowest


def spread(model: Keras, *, seed: int = 0) -> Keras:
    """Return a copy with the same function whose depthwise channels differ as in a folded backbone."""
    from converter.qat.qat_network import rescale_channels

    draw = np.random.default_rng(seed)

    def divisors(maxima: Floats) -> Floats:
        return 10 ** draw.uniform(-DECADES, DECADES, maxima.shape)

    return rescale_channels(model, divisors)
