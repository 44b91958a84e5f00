"""One way to integers after the other, until one loses little enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.errors import OutputError
from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
Step = Callable[[], Any]


@pytest.fixture(scope="module")
def source(run: Path) -> Any:
    from converter.sources.run_source import find_dataset, open_source
    from trainer.runs.run_folder import read_run

    read = read_run(run)
    return open_source(read, find_dataset(read, None), threads=2)


@pytest.fixture(scope="module")
def good(source: Any) -> Any:
    """A candidate that loses nothing."""
    from converter.quantize.tflite_conversion import Quantization
    from converter.search.candidate import plainly
    from converter.search.request import ConversionRequest

    return plainly(source, Quantization.FLOAT32, ConversionRequest())


@pytest.fixture(scope="module")
def bad(source: Any, good: Any) -> Any:
    """A candidate that always says the same."""
    import tf_keras

    from converter.quantize.tflite_conversion import IoType, Quantization, convert
    from converter.sources.frozen_function import freeze

    model = tf_keras.models.clone_model(source.model)
    model.set_weights([np.zeros_like(weight) for weight in source.model.get_weights()])
    return replace(good, data=convert(freeze(model), Quantization.FLOAT32, io=IoType.FLOAT32))


def tried(source: Any, *candidates: Any) -> tuple[Any, ...]:
    from converter.search.choose import attempt
    from converter.search.request import ConversionRequest

    steps: list[Step] = [lambda one=one: one for one in candidates]  # type: ignore[misc] # bound now
    return attempt(steps, source, ConversionRequest())


def test_a_licence_that_the_run_lacks_is_taken_from_its_dataset(source: Any) -> None:
    from converter.export.contract_record import licence_of

    silent = replace(source, run=replace(source.run, licence=""))
    assert licence_of(silent) == source.dataset.licence == "CC0"
    other = replace(source, dataset=replace(source.dataset, licence="MIT"))
    assert licence_of(other) == "CC0"


def test_what_loses_nothing_ends_the_search(source: Any, good: Any, bad: Any) -> None:
    assert [one.is_within for one in tried(source, good, bad)] == [True]


def test_what_loses_too_much_is_followed_by_the_next(source: Any, good: Any, bad: Any) -> None:
    assert [one.is_within for one in tried(source, bad, good)] == [False, True]


def test_the_best_is_the_one_that_loses_least(source: Any, good: Any, bad: Any) -> None:
    from converter.search.choose import best_of

    assert best_of(tried(source, bad, good)).candidate is good
    assert best_of(tried(source, bad, bad)).candidate is bad


def test_a_candidate_that_breaks_its_promise_ends_everything(source: Any, good: Any) -> None:
    from converter.quantize.tflite_conversion import Quantization

    with raises_code("conversion-check-failed", "int8") as caught:
        tried(source, replace(good, recipe=Quantization.INT8))
    assert isinstance(caught.value, OutputError)


def test_the_search_ends_where_the_spared_layers_hold_most_weights(source: Any, good: Any, bad: Any) -> None:
    import tf_keras

    from converter.quantize.tflite_conversion import IoType, Quantization, convert
    from converter.sources.frozen_function import freeze

    layers = (tf_keras.Input((8, 8, 3)), tf_keras.layers.Conv2D(64, 3))
    floats = convert(freeze(tf_keras.Sequential(layers)), Quantization.FLOAT32, io=IoType.FLOAT32)
    spared = replace(good, recipe=Quantization.INT8, kept=("a", "b"), data=floats)
    assert [one.is_within for one in tried(source, bad, spared)] == [False]


def test_what_xnnpack_refuses_is_never_good_enough(source: Any, good: Any) -> None:
    from converter.search.accuracy_limit import limit_of
    from converter.search.choose import best_of

    (well,) = tried(source, good)
    refused = replace(well, verdict=replace(well.verdict, refusal="it cannot"), excess=np.inf)
    worse = replace(well, excess=3.0)
    limit = limit_of(source.plain, max_drop=100.0)
    assert limit.allows(well.verdict)
    assert not limit.allows(refused.verdict)
    assert (limit.surpassed(well.verdict), limit.surpassed(refused.verdict)) == ("", "XNNPACK")
    assert best_of([refused, worse]) is worse
