"""The words of findings have one form: small letters, joined by hyphens."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from dermpack.imaging.rejection import Note, Reason
from trainer.datasets.findings import ImportOutcome, OmissionReason, Problem


@pytest.mark.parametrize("words", [Note, Reason, Problem, OmissionReason, ImportOutcome])
def test_a_finding_is_named_by_small_letters_and_hyphens(words: type[Enum]) -> None:
    assert [word.value for word in words if not re.fullmatch(r"[a-z]+(-[a-z]+)*", word.value)] == []
