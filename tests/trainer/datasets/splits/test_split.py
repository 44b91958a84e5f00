"""Splits are stratified, whole, and the same for the same seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermpack.dataset.manifest import Split
from tests.support.errors import raises_code
from trainer.datasets.splits.split import (
    DEFAULT_SHARES,
    Member,
    Shares,
    assign_splits,
    find_unit_leaks,
    keep_given_splits,
    parse_shares,
)

TRAIN, VALIDATION, TEST = Split


def member(index: int, *, label: str = "a", unit: int | None = None) -> Member:
    return Member(path=f"{index:04}.png", label=label, unit=index if unit is None else unit)


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    """Units of one to four pictures; now and then a unit of several labels."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=60))
    labels = st.sampled_from("abc")
    found: list[Member] = []
    for unit, size in enumerate(sizes):
        usual = draw(labels)
        for _ in range(size):
            label = draw(labels) if draw(st.integers(0, 9)) == 0 else usual
            found.append(member(len(found), label=label, unit=unit))
    return found


@given(members(), st.integers(0, 5), st.sampled_from(["70/15/15", "0/0/100", "50/50/0", "33/33/33"]))
@settings(max_examples=60, deadline=None)
def test_a_unit_never_parts(found: list[Member], seed: int, shares: str) -> None:
    splits = assign_splits(found, shares=parse_shares(shares), seed=seed)
    of_unit = defaultdict(set)
    for each, chosen in zip(found, splits, strict=True):
        of_unit[each.unit].add(chosen)
    assert all(len(chosen) == 1 for chosen in of_unit.values())


@given(members(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_input_order_is_irrelevant(found: list[Member], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out its own Random
    expected = dict(zip(found, assign_splits(found, shares=DEFAULT_SHARES, seed=3), strict=True))
    assert (
        dict(zip(shuffled, assign_splits(shuffled, shares=DEFAULT_SHARES, seed=3), strict=True)) == expected
    )


@given(st.lists(st.integers(1, 4), min_size=30, max_size=120), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_shares_come_within_a_unit_of_the_asked_ones(sizes: list[int], seed: int) -> None:
    found = [member(4 * unit + index, unit=unit) for unit, size in enumerate(sizes) for index in range(size)]
    counts = Counter(assign_splits(found, shares=DEFAULT_SHARES, seed=seed))
    for each in Split:
        assert abs(counts[each] - DEFAULT_SHARES.of(each) * len(found)) <= max(sizes)


def test_every_label_is_split_by_the_shares() -> None:
    found = [member(index, label="rare" if index < 20 else "common") for index in range(220)]
    counts = Counter(
        zip((m.label for m in found), assign_splits(found, shares=DEFAULT_SHARES, seed=0), strict=True)
    )
    assert [counts["common", each] for each in Split] == [140, 30, 30]
    assert [counts["rare", each] for each in Split] == [14, 3, 3]


@pytest.mark.parametrize("seed", range(3))
def test_units_of_each_size_are_split_by_the_shares(seed: int) -> None:
    sizes = [4] * 40 + [2] * 200 + [1] * 600
    labels = ["rare" if unit % 5 == 0 else "common" for unit in range(len(sizes))]
    found = [
        member(10 * unit + index, label=labels[unit], unit=unit)
        for unit, size in enumerate(sizes)
        for index in range(size)
    ]
    splits = assign_splits(found, shares=DEFAULT_SHARES, seed=seed)
    split_of_unit = {each.unit: split for each, split in zip(found, splits, strict=True)}
    for size in (4, 2, 1):
        for label in ("rare", "common"):
            chosen = [u for u in split_of_unit if (sizes[u], labels[u]) == (size, label)]
            counts = Counter(split_of_unit[unit] for unit in chosen)
            for each in Split:
                assert counts[each] == pytest.approx(DEFAULT_SHARES.of(each) * len(chosen), abs=2)


@pytest.mark.parametrize("seed", range(5))
def test_a_label_of_three_units_stands_in_every_split(seed: int) -> None:
    found = [member(index, label="rare" if index < 3 else "common") for index in range(103)]
    splits = assign_splits(found, shares=DEFAULT_SHARES, seed=seed)
    assert set(splits[:3]) == set(Split)


def test_another_seed_gives_another_split() -> None:
    found = [member(index) for index in range(50)]
    assert assign_splits(found, shares=DEFAULT_SHARES, seed=0) != assign_splits(
        found, shares=DEFAULT_SHARES, seed=1
    )


def test_a_zero_share_stays_empty() -> None:
    assert set(
        assign_splits([member(index) for index in range(9)], shares=parse_shares("0/0/100"), seed=0)
    ) == {TEST}


@pytest.mark.parametrize(
    "text", ["", "70/30", "0/0/0", "-1/1/1", "a/b/c", "nan/1/1", "inf/1/1", "1e308/1e308/1e308"]
)
def test_shares_that_are_none_are_refused(text: str) -> None:
    with raises_code("invalid-option", f"--split {text}"):
        parse_shares(text)


@pytest.mark.parametrize("text", ["70/20/20", "8/1/1", "0.7/0.2/0.2", "70/15/140"])
def test_shares_that_are_no_whole_are_refused(text: str) -> None:
    with raises_code("invalid-option", f"--split {text}", f"{sum(map(float, text.split('/'))):g}", 100):
        parse_shares(text)


@pytest.mark.parametrize("text", ["70/15/15", "0.7/0.15/0.15", "33/33/33", "33.3/33.3/33.3", "0/0/1"])
def test_shares_of_a_whole_are_taken(text: str) -> None:
    parse_shares(text)


def kept(found: Sequence[Member], given_splits: Sequence[Split | None]) -> tuple[Split, ...]:
    return keep_given_splits(found, given_splits, shares=DEFAULT_SHARES, seed=0)


def test_given_splits_stay() -> None:
    found = [member(index) for index in range(6)]
    given_splits = [TRAIN, TRAIN, VALIDATION, TEST, TEST, TRAIN]
    assert kept(found, given_splits) == tuple(given_splits)


def test_validation_is_cut_from_train_where_it_is_not_given() -> None:
    found = [member(index, unit=index // 2) for index in range(200)]
    splits = kept(found, [TRAIN] * 170 + [TEST] * 30)
    assert set(splits[170:]) == {TEST}
    assert Counter(splits[:170])[VALIDATION] == pytest.approx(30, abs=2)
    assert all(splits[index] is splits[index + 1] for index in range(0, 200, 2))


def test_a_test_set_alone_stays_a_test_set() -> None:
    assert set(kept([member(index) for index in range(4)], [TEST] * 4)) == {TEST}


def test_a_picture_without_a_given_split_goes_with_its_unit() -> None:
    assert kept([member(0, unit=0), member(1, unit=0), member(2)], [TEST, None, TRAIN])[:2] == (TEST, TEST)


def test_a_leak_is_reported_for_the_picture_that_is_held_out_less() -> None:
    found = [member(0, unit=0), member(1, unit=0), member(2, unit=2), member(3, unit=3)]
    splits = kept(found, [TRAIN, TEST, TRAIN, VALIDATION])
    assert find_unit_leaks([each.unit for each in found], splits) == {0: TEST}


def test_shares_print_as_they_are_written() -> None:
    assert str(Shares(train=70, validation=15, test=15)) == "70/15/15"
