"""Candidates are tried one after the other until one is within the limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.errors import OutputError
from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def source(run: Path) -> Any:
    from converter.sources.run_source import find_dataset, open_run
    from trainer.runs.run_folder import read_run

    read = read_run(run)
    return open_run(read, find_dataset(read, None), threads=2)


@pytest.fixture(scope="module")
def good(source: Any) -> Any:
    """Return a candidate without any loss."""
    from converter.quantize.tflite_conversion import Quantization
    from converter.request import ConversionRequest
    from converter.search.candidate import make_plain_candidate

    return make_plain_candidate(source, Quantization.FLOAT32, ConversionRequest())


@pytest.fixture(scope="module")
def bad(source: Any, good: Any) -> Any:
    """Return a candidate with a constant output."""
    import tf_keras

    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze

    model = tf_keras.models.clone_model(source.trained.graph.model)
    model.set_weights([np.zeros_like(weight) for weight in source.trained.graph.model.get_weights()])
    return replace(good, data=convert(freeze(model), Quantization.FLOAT32, io=IoType.FLOAT32))


def tried(source: Any, *candidates: Any) -> tuple[Any, ...]:
    from converter.request import ConversionRequest
    from converter.search.choose import try_candidates

    return try_candidates(candidates, source, ConversionRequest())


def test_a_missing_licence_is_taken_from_the_dataset(run: Path) -> None:
    from converter.sources.run_source import find_dataset, find_licence
    from trainer.runs.run_folder import read_run

    read = read_run(run)
    dataset = find_dataset(read, None)
    assert find_licence(replace(read, licence=""), dataset) == dataset.licence == "CC0"
    assert find_licence(read, replace(dataset, licence="MIT")) == "CC0"


def test_a_candidate_within_the_limit_ends_the_search(source: Any, good: Any, bad: Any) -> None:
    assert [one.is_within for one in tried(source, good, bad)] == [True]


def test_a_candidate_beyond_the_limit_is_followed_by_the_next(source: Any, good: Any, bad: Any) -> None:
    assert [one.is_within for one in tried(source, bad, good)] == [False, True]


def test_the_best_is_the_one_that_loses_least(source: Any, good: Any, bad: Any) -> None:
    from converter.search.choose import choose_best

    assert choose_best(tried(source, bad, good)).candidate is good
    assert choose_best(tried(source, bad, bad)).candidate is bad


def test_a_candidate_that_breaks_its_requirements_ends_the_search(source: Any, good: Any) -> None:
    from converter.quantize.tflite_conversion import Quantization

    with raises_code("conversion-check-failed", "int8") as caught:
        tried(source, replace(good, recipe=Quantization.INT8))
    assert isinstance(caught.value, OutputError)


def test_the_search_ends_when_float_layers_contain_most_weights(source: Any, good: Any, bad: Any) -> None:
    import tf_keras

    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze

    layers = (tf_keras.Input((8, 8, 3)), tf_keras.layers.Conv2D(64, 3))
    floats = convert(freeze(tf_keras.Sequential(layers)), Quantization.FLOAT32, io=IoType.FLOAT32)
    spared = replace(good, recipe=Quantization.INT8, float_layers=("a", "b"), data=floats)
    assert [one.is_within for one in tried(source, bad, spared)] == [False]


def test_a_candidate_that_xnnpack_refuses_is_never_the_best(source: Any, good: Any) -> None:
    from converter.search.accuracy_limit import derive_limit
    from converter.search.choose import choose_best

    (well,) = tried(source, good)
    refused = replace(well, comparison=replace(well.comparison, refusal="it cannot"), excess=np.inf)
    worse = replace(well, excess=3.0)
    limit = derive_limit(source.float_predictions, max_drop=100.0)
    assert limit.exceeded_figures(well.comparison) == ()
    assert limit.exceeded_figures(refused.comparison) == ("XNNPACK",)
    assert choose_best([refused, worse]) is worse
