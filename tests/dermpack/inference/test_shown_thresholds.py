"""The thresholds that an answer reaches are shown, but not those of a refused picture."""

from __future__ import annotations

import pytest

from dermpack.contract import OperatingPoint
from dermpack.imaging.quality import QualityFault
from dermpack.inference.predict.answers import Answer, Familiarity, Flag, ScoredLabel

POINT = OperatingPoint(
    label="mel", threshold=0.2, wanted_sensitivity=0.9, sensitivity=0.9, specificity=0.5, positives=9, n=20
)


def answer(*, fault: QualityFault | None = None, distance: float = 1.0, is_sure: bool = True) -> Answer:
    return Answer(
        picture="a.jpg",
        guesses=(ScoredLabel(label="mel", value=0.6), ScoredLabel(label="nv", value=0.4)),
        is_sure=is_sure,
        flags=(Flag(point=POINT, probability=0.6),),
        familiarity=Familiarity(distance=distance, threshold=2.0),
        fault=fault,
    )


def test_a_reached_threshold_is_shown_also_if_the_model_is_not_sure() -> None:
    assert answer().reached_points == answer(is_sure=False).reached_points == (POINT,)
    assert not answer(is_sure=False).is_refused


@pytest.mark.parametrize("refused", [answer(fault=QualityFault.DARK), answer(distance=3.0)])
def test_a_refused_picture_shows_no_threshold(refused: Answer) -> None:
    assert refused.is_refused and refused.flags[0].is_reached
    assert refused.reached_points == ()
