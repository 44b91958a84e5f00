"""Try cases in a child process with limits, look for one that breaks the promise, and make it smaller."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, FlakyFailure

from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError
from tests.fuzz.corpus import Case
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import INPUT_CLASSES
from tests.fuzz.worker import Outcome

WORKER = "tests.fuzz.worker"
ADDRESS_BYTES = 6 << 30  # of the child; what it really uses is compared with the limit of the class
START_SECONDS = 60.0  # the first case of a child includes its imports
ROUND = 100  # cases between two looks at the clock
SHRINK_SECONDS = 30.0


class BrokenPromiseError(Exception):
    """A case that neither succeeds nor ends in an error with a code, within its limits."""


class CaseRunner:
    """One child process at a time; a case that ends it gets the next one started."""

    def __init__(self, class_name: str) -> None:
        self.class_name, self._limits = class_name, INPUT_CLASSES[class_name]
        self._child: ChildProcess | None = None

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def run(self, case: Case) -> Outcome:
        """Return how the case ended; the end of the child and the time are problems too."""
        seconds = self._limits.seconds
        if self._child is None:
            self._child = ChildProcess(
                WORKER, self.class_name, memory_bytes=ADDRESS_BYTES, inherit_stderr=True
            )
            seconds += START_SECONDS
        try:
            with self._child.time_limit(seconds):
                self._child.send(case.name.encode(), case.data)
                outcome = Outcome(**json.loads(self._child.receive()))
        except ChildEndedError as error:
            self.close()
            return Outcome(problem=f"the process ended: {error}")
        except ChildTimeoutError:
            self.close()
            return Outcome(problem="no answer in time", seconds=seconds)
        if not outcome.problem and outcome.peak_bytes > self._limits.peak_bytes:
            self.close()  # the peak of children that have ended cannot be reset
            mib = (outcome.peak_bytes >> 20, self._limits.peak_bytes >> 20)
            return Outcome(problem=f"more than {mib[1]} MiB", detail=f"{mib[0]} MiB", seconds=outcome.seconds)
        return outcome


@contextmanager
def open_runner(class_name: str) -> Iterator[CaseRunner]:
    """Yield a runner whose process ends with the block."""
    runner = CaseRunner(class_name)
    try:
        yield runner
    finally:
        runner.close()


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was tried of one class."""

    tried: int = 0
    accepted: int = 0  # read without an error
    codes: dict[str, int] = field(default_factory=dict)
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    failures: dict[str, tuple[Case, Outcome]] = field(default_factory=dict)  # by problem, the smallest case

    @property
    def held(self) -> int:
        return self.tried - sum(self.codes.get(problem, 0) for problem in self.failures)

    def count(self, outcome: Outcome) -> None:
        self.tried += 1
        self.accepted += not outcome.code and not outcome.problem
        key = outcome.problem or outcome.code or "(accepted)"
        self.codes[key] = self.codes.get(key, 0) + 1
        self.slowest_seconds = max(self.slowest_seconds, outcome.seconds)
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)


def is_available(class_name: str) -> bool:
    """Return whether the libraries that read the class are installed."""
    needs = INPUT_CLASSES[class_name].needs
    return not needs or find_spec(needs) is not None


def explore(
    class_name: str, cases: Sequence[Case], *, seconds: float, first_seed: int, most_cases: int | None = None
) -> Tally:
    """Mutate the cases until the time is over; each kind of problem is reported with one small case."""
    tally, until = Tally(), time.monotonic() + seconds
    with open_runner(class_name) as runner:
        round_seed = first_seed
        while time.monotonic() < until and (most_cases is None or tally.tried < most_cases):
            left = ROUND if most_cases is None else min(ROUND, most_cases - tally.tried)
            _explore_round(runner, cases, tally, until=until, round_seed=round_seed, examples=left)
            round_seed += 1
    return tally


def _explore_round(
    runner: CaseRunner, cases: Sequence[Case], tally: Tally, *, until: float, round_seed: int, examples: int
) -> None:
    """Try some cases; after a new problem, Hypothesis looks for a smaller case with the same one."""
    found: str = ""
    shrink_until = 0.0

    @seed(round_seed)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    @given(case=st.sampled_from(cases), changes=st.randoms(use_true_random=False))
    def try_case(case: Case, changes: random.Random) -> None:
        nonlocal found, shrink_until
        now = time.monotonic()
        if now > (shrink_until if found else until):
            return
        mutant = Case(name=case.name, data=mutate(case.name, case.data, changes))
        outcome = runner.run(mutant)
        if not found:
            tally.count(outcome)
        problem = outcome.problem
        if not problem or (problem in tally.failures if not found else problem != found):
            return
        if not found:
            found, shrink_until = problem, now + SHRINK_SECONDS
        known = tally.failures.get(problem)
        if known is None or len(mutant.data) <= len(known[0].data):
            tally.failures[problem] = mutant, outcome
        raise BrokenPromiseError(problem)

    with suppress(BrokenPromiseError, Flaky, FlakyFailure):
        try_case()
