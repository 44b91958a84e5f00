"""Options are formatted for people."""

from __future__ import annotations

from typing import Any

import pytest

from dermpack.reporting.page import option_text, threshold_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"),
        (True, "yes"),
        ([], "none"),
        ([4, 8], "4,8"),
        (1e-4, "0.0001"),
        ("cosine", "cosine"),
        ("", "–"),
        ({"flips": True, "zoom_in": 0.1, "shift": 0}, "flips yes, zoom in 0.1"),
        ({"flips": False}, "none"),
        ({"sha256": "0123456789abcdef"}, "a file, sha256 0123456789ab…"),
        ([["mel", 0.95]], "mel 0.95"),
    ],
)
def test_an_option_is_formatted(value: Any, expected: str) -> None:
    assert option_text("option", value) == expected


def test_a_missing_limit_is_all() -> None:
    assert (option_text("fine_tune", None), option_text("teacher", None)) == ("all", "none")


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (0.00004, "0.00004"),
        (0.999984, "0.99998"),
        (1 - 2**-53, "0.9999999999999999"),
        (1e-30, "1e-30"),
        (1.0, "1.000"),
    ],
)
def test_a_threshold_is_not_rounded_to_0_or_1(threshold: float, expected: str) -> None:
    assert threshold_text(threshold) == expected
