"""Options are formatted for people."""

from __future__ import annotations

from typing import Any

import pytest

from dermpack.reporting.page import option_text


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
