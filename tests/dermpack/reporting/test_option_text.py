"""Options are told in words, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from dermpack.reporting.option_text import option_text


@pytest.mark.parametrize(
    ("value", "said"),
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
def test_an_option_is_told_as_a_person_would_give_it(value: Any, said: str) -> None:
    assert option_text("option", value) == said


def test_nothing_given_is_all_where_an_option_sets_a_limit() -> None:
    assert (option_text("fine_tune", None), option_text("teacher", None)) == ("all", "none")
