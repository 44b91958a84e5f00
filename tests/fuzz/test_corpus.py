"""Every input of the corpus again: the valid ones are read, what once failed ends in an error with a code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dermpack.errors import InputError
from tests.fuzz import engine, worker
from tests.fuzz.corpus import CORPUS, FAILED, SLOW, Case, read_corpus, read_failed
from tests.fuzz.engine import CaseRunner, is_available, open_runner
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import INPUT_CLASSES

MOST_SEED_BYTES = 128 << 10  # the golden pictures of a bundle; the others have a few kB
Build = Callable[[str], CaseRunner]


@pytest.fixture(params=sorted(INPUT_CLASSES))
def runner(request: pytest.FixtureRequest) -> Iterator[CaseRunner]:
    name = str(request.param)
    if not is_available(name):
        pytest.skip(f"{name} needs {INPUT_CLASSES[name].needs}")
    with open_runner(name) as opened:
        yield opened


def test_the_corpus_has_every_class_and_is_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(INPUT_CLASSES)
    assert max(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MOST_SEED_BYTES


def test_every_input_of_the_corpus_keeps_the_promise(runner: CaseRunner) -> None:
    failed = {case.data for case in read_failed(runner.class_name)}
    for case in read_corpus(runner.class_name):
        if case.name.endswith(".heic") and find_spec("pillow_heif") is None:
            continue
        outcome = runner.run(case)
        assert not outcome.problem, f"{case.name}: {outcome.problem}\n{outcome.detail}"
        if case.data not in failed:
            assert not outcome.code, f"{case.name}: {outcome.detail}"


@pytest.mark.slow
def test_what_once_did_not_end_is_ended(runner: CaseRunner) -> None:
    for case in read_failed(runner.class_name, SLOW):
        outcome = runner.run(case)
        assert outcome.code and not outcome.problem, f"{case.name}: {outcome.problem}"


def test_the_name_of_a_failing_input_identifies_its_reader() -> None:
    for path in [*CORPUS.glob(f"*/{FAILED}/*"), *CORPUS.glob(f"*/{SLOW}/*")]:
        digest, _, name = path.name.partition("-")
        assert len(digest) == 12
        assert callable(INPUT_CLASSES[path.parents[1].name].reader_of(name))


def test_the_same_seed_gives_the_same_cases() -> None:
    for class_name in INPUT_CLASSES:
        for case in read_corpus(class_name)[:4]:
            mutants = [
                mutate(case.name, case.data, random.Random(number)) for number in (1, 1, *range(2, 12))
            ]
            assert mutants[0] == mutants[1]
            assert len(set(mutants)) > 5, case.name


def _raise(error: Exception) -> Callable[[Path], None]:
    def read(_: Path) -> None:
        raise error

    return read


def _change(path: Path) -> None:
    path.write_bytes(b"changed")


def _leave(path: Path) -> None:
    path.with_name("x.partial").touch()


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (_raise(ValueError("bug")), "ValueError in test_corpus.py"),
        (_raise(InputError("x", "y", "z", code="Not A Code")), "is not a code"),
        (_change, "the input was changed"),
        (_leave, "x.partial was left"),
    ],
)
def test_a_broken_promise_is_noticed(read: Callable[[Path], None], problem: str) -> None:
    assert problem in worker.examine(read, "case", b"data").problem


def test_an_error_with_a_code_is_no_problem() -> None:
    outcome = worker.examine(_raise(InputError("x", "y", "z", code="invalid-json")), "case", b"data")
    assert (outcome.code, outcome.problem) == ("invalid-json", "")


def test_what_fails_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that fails for every case with a NUL byte: the smallest one has few others."""

    class Failing(CaseRunner):
        def run(self, case: Case) -> worker.Outcome:
            return worker.Outcome(problem="NUL" if b"\0" in case.data else "")

    monkeypatch.setattr(engine, "CaseRunner", Failing)
    case = Case(name="labels.txt", data=b"a\nb\n")
    tally = engine.explore("tables", [case], seconds=60.0, first_seed=0, most_cases=300)
    smallest, _ = tally.failures["NUL"]
    assert b"\0" in smallest.data and len(smallest.data) < 20
