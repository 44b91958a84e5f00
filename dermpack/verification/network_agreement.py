"""Put what the trained network says beside what its file says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermpack.contract import Contract
from dermpack.evaluation.evaluate import Predictor
from dermpack.metrics.predictions import Floats
from dermpack.progress import Track, silent
from dermpack.verification.checks import Check, CheckOutcome, held
from dermpack.verification.interpreter_runs import InterpreterRun
from dermpack.verification.output_agreement import ROUNDING, apart, told
from dermpack.verification.sample_pictures import SamplePictures

ALLOWED = {"float32": 1e-4, "float16": 1e-2}  # at most; what holds integers differs as it must
FOREIGN_MEAN = 0.15  # on average: farther apart than that, a file is hardly the network's


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatNetwork:
    """A run's network without its temperature, and the hashes that a contract knows it by."""

    predictor: Predictor
    run_sha256: str
    weights_sha256: str

    def fits(self, contract: Contract) -> bool:
        """Whether its labels are the contract's; others could not be compared."""
        return self.predictor.classes == contract.labels


class CachedPredictor:
    """A predictor that is asked of each file once: all files of a run are held against the same answers."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._known: dict[Path, Floats] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        return self._predictor.classes

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        new = [file for file in dict.fromkeys(files) if file not in self._known]
        if new:
            self._known.update(zip(new, self._predictor(new, track=track), strict=True))
        return np.array([self._known[file] for file in files])


def check_network(
    network: FloatNetwork, contract: Contract, material: SamplePictures, ran: InterpreterRun | None
) -> Iterator[Check]:
    """Whether it is the parent, and how far apart the two are on the same pictures."""
    yield _parent(network, contract)
    if not network.fits(contract):
        yield Check(name="network", outcome=CheckOutcome.FAILS, detail="has other labels than the contract")
    elif ran is not None:
        yield _beside(network, contract, material, ran)


def _parent(network: FloatNetwork, contract: Contract) -> Check:
    parents = contract.parents
    pairs = (("run", network.run_sha256, parents.run), ("weights", network.weights_sha256, parents.weights))
    problems = [
        f"the contract names another {what}: {said[:12]}…" for what, is_, said in pairs if is_ != said
    ]
    return held("parent", problems, well=f"run {parents.run[:12]}…, weights {parents.weights[:12]}…")


def _beside(
    network: FloatNetwork, contract: Contract, material: SamplePictures, ran: InterpreterRun
) -> Check:
    assert ran.outputs is not None
    found = apart(network.predictor(material.files), ran.outputs)
    allowed = ALLOWED.get(contract.recipe.name)
    if allowed is None:
        outcome = CheckOutcome.NOTED if found["mean"] <= FOREIGN_MEAN else CheckOutcome.FAILS
    else:
        outcome = CheckOutcome.HOLDS if found["max"] <= allowed + ROUNDING else CheckOutcome.FAILS
    detail = f"{told(found, contract.output.scale)}, on {material}"
    return Check(name="network", outcome=outcome, detail=detail, figures={"against": str(ran), **found})
