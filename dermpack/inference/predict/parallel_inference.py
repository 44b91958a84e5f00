"""Show picture files to a model, on as many cores as asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError, PictureError
from dermpack.imaging import Policy, prepare
from dermpack.inference import Classifier, InterpreterHost, ModelSettings, classifier_on
from dermpack.inference.predict.opened_model import OpenedModel
from dermpack.inference.tensors import IoNumber
from dermpack.progress import Track, silent

CHUNK = 8  # pictures in one message
Row: TypeAlias = "NDArray[np.float64] | PictureError"


def hosts_for(pictures: int, *, threads: int | None) -> int:
    """How many processes are worth starting: one for each chunk of pictures, one a core at most."""
    if pictures <= CHUNK:
        return 1
    from dermpack.processes.process_pool import available_jobs  # not where one picture waits for an answer

    return min(threads or available_jobs(), -(-pictures // CHUNK))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOutputs:
    """Of each picture, in order, the outputs as real numbers or why it has none; and what ran it."""

    rows: tuple[Row, ...]
    runtime: str  # "ai_edge_litert 2.3.0"
    number: IoNumber  # of the input


def run(
    model: OpenedModel, pictures: Sequence[Path], *, hosts: Sequence[InterpreterHost], track: Track = silent
) -> PictureOutputs:
    """Show the pictures to the model, on as many cores as there are hosts.

    Each host interprets on one thread, so that a picture has the same outputs alone and among others.
    """
    pool = ThreadPoolExecutor(2 * len(hosts))  # while one half waits for the hosts, the other prepares
    try:
        crew = _ClassifierPool(model, [pool.submit(_open, model, host) for host in hosts])
        chunks = [pictures[at : at + CHUNK] for at in range(0, len(pictures), CHUNK)]
        rows = chain.from_iterable(pool.map(crew.work, chunks))
        shown = tuple(track(rows, total=len(pictures), what="Predicting"))
        one = crew.first.result()  # also where every picture was refused: can the model be run at all?
        return PictureOutputs(rows=shown, runtime=one.engine, number=one.input.number)
    except BaseException:
        for host in hosts:
            host.close()  # a thread that waits for its answer would hold up the end
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _ClassifierPool:
    """Classifiers that may still be starting; whoever has a chunk prepared takes an idle one."""

    def __init__(self, model: OpenedModel, classifiers: Sequence[Future[Classifier]]) -> None:
        self.model, self.first = model, classifiers[0]
        self.idle: SimpleQueue[Future[Classifier]] = SimpleQueue()
        for classifier in classifiers:
            self.idle.put(classifier)

    def work(self, files: Sequence[Path]) -> list[Row]:
        """Prepare, then classify: the first chunk is prepared while the interpreter starts."""
        size = self.model.size or self.first.result().size
        prepared = [_prepared(file, size, self.model.policy) for file in files]
        good = [pixels for pixels in prepared if not isinstance(pixels, PictureError)]
        rows = iter(self._classified(np.stack(good)) if good else ())
        return [of if isinstance(of, PictureError) else next(rows) for of in prepared]

    def _classified(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        classifier = self.idle.get()
        try:
            return classifier.result().classify(pixels)
        finally:
            self.idle.put(classifier)


def _open(model: OpenedModel, host: InterpreterHost) -> Classifier:
    """The model in its interpreter; without a temperature, whose place is after all outputs are known."""
    sidecar = ModelSettings(labels=model.labels, policy=model.policy)
    classifier = classifier_on(host, model.data, where=model.path, sidecar=sidecar)
    if model.size not in (None, classifier.size):
        what = f"the input has {classifier.size} px, but its contract declares {model.size}"
        raise InputError(model.path, what, "Export the model again.", code="contract-mismatch")
    return classifier


def _prepared(file: Path, size: int, policy: Policy) -> NDArray[np.uint8] | PictureError:
    try:
        return prepare(_followed(file), size, policy=policy)
    except PictureError as error:
        return PictureError(file, error.reason, error.what, error.hint)


def _followed(file: Path) -> Path:
    """Where a link leads to: whoever names a file may see it, and nothing of it is shown but labels."""
    return Path(os.path.realpath(file)) if file.is_symlink() else file
