"""Answer single pictures with one model, in child processes that are replaced when they end.

A lane is an interpreter and a decoder, each a child process with limits, so that a crash or a hostile picture
costs one answer. A request waits in a queue of limited length until a lane is idle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from dermpack.errors import InputError, PictureError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.rejection import DecodingLimits
from dermpack.inference.classifier import Classifier
from dermpack.inference.interpreter_host import InterpreterHost, first_installed_runtime
from dermpack.inference.metadata_rows import encode_values
from dermpack.inference.model_files import OpenedModel
from dermpack.inference.predict.answer_formats import answers_record
from dermpack.inference.predict.answers import (
    Answer,
    interpret_outputs,
    load_uncalibrated,
    run_prepared,
)
from dermpack.inference.predict.picture_search import FoundPictures
from dermpack.processes.process_pool import available_jobs
from dermpack.serving.problems import busy_error
from dermpack.serving.settings import PICTURE_BYTES

NOTICE = "Research software, not a medical device: no answer is a diagnosis."
PICTURE = Path("picture")  # the name of every picture: the server never learns another
LIMITS = DecodingLimits(max_bytes=PICTURE_BYTES, max_pixels=40 << 20, max_side=12_000)
DECODE_SECONDS, RUN_SECONDS = 10.0, 30.0  # of processor time for one picture; the usual ones take 0.3
MAX_REQUESTS = 32  # that wait or are answered; below the 40 threads that Starlette has
WAIT_SECONDS = 20.0  # in the queue
MAX_LANES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one picture, and its JSON object: as of `dermpack predict --json`, with the notice."""

    answer: Answer
    record: dict[str, Any]


class PredictionService:
    """Answers pictures from any thread."""

    def __init__(self, model: OpenedModel, *, lanes: int | None = None) -> None:
        count = lanes or min(available_jobs(), MAX_LANES)
        self.model = model
        self._lanes = [_Lane(model, children=2 * count) for _ in range(count)]
        self._idle: SimpleQueue[_Lane] = SimpleQueue()
        self._lock, self._requests = Lock(), 0

    def __enter__(self) -> PredictionService:
        """Start the processes and load the model: what is wrong with it is an error now."""
        try:
            # All of them first: they import at the same time while the first model is loaded.
            for lane in self._lanes:
                lane.start()
            for lane in self._lanes:
                lane.load()
                self._idle.put(lane)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for lane in self._lanes:
            lane.close()

    def answer(self, picture: bytes, metadata: Mapping[str, str]) -> Prediction:
        """Return the answer to the bytes of a picture file, with fields of the patient metadata.

        Raise PictureError for a picture that cannot be decoded, InputError for metadata that the model does
        not take, and RequestError if too many requests wait.
        """
        columns = self.model.interface.metadata_columns if self.model.interface else ()
        if metadata and not columns:
            what, hint = "the model takes no patient metadata", "Omit the parameters."
            raise InputError(next(iter(metadata)), what, hint, code="option-not-applicable")
        row = encode_values(columns, metadata, where="query")[None] if columns else None
        with self._take_lane() as lane:
            return lane.answer(picture, row)

    def strip(self, picture: bytes) -> bytes:
        """Return the bytes of a picture file without metadata, with the pixels and the errors of `answer`."""
        with self._take_lane() as lane:
            return lane.strip(picture)

    @contextmanager
    def _take_lane(self) -> Iterator[_Lane]:
        """Yield a lane as soon as one is idle, or raise RequestError."""
        # Those that wait count too: each of them occupies one of the server's threads.
        with self._lock:
            if self._requests >= MAX_REQUESTS:
                raise busy_error()
            self._requests += 1
        try:
            try:
                lane = self._idle.get(timeout=WAIT_SECONDS)
            except Empty as error:
                raise busy_error() from error
            try:
                yield lane
            finally:
                self._idle.put(lane)
        finally:
            with self._lock:
                self._requests -= 1


class _Lane:
    """An interpreter and a decoder that answer one picture at a time."""

    def __init__(self, model: OpenedModel, *, children: int) -> None:
        self._model = model
        self._host = InterpreterHost(
            first_installed_runtime(), patience_seconds=RUN_SECONDS, children=children, new_session=True
        )
        self._decoder = PictureDecoder(limits=LIMITS, picture_seconds=DECODE_SECONDS, children=children)
        self._classifier: Classifier | None = None

    def start(self) -> None:
        """Start both processes; they import while the caller continues."""
        self._host.start()
        self._decoder.start()

    def load(self) -> Classifier:
        """Return the loaded model; load it again after its process has ended."""
        if self._classifier is None or not self._host.is_running:
            self._classifier = load_uncalibrated(self._model, self._host)
        return self._classifier

    def answer(self, picture: bytes, metadata: Any) -> Prediction:
        """Return the answer to one picture."""
        model = self._model
        classifier = self.load()
        (pixels,) = self._decoder.prepare_chunk([picture], classifier.size, policy=model.policy)
        if isinstance(pixels, PictureError):
            raise PictureError(PICTURE, pixels.reason, pixels.what, pixels.hint)
        rows = run_prepared(model, classifier, [pixels], metadata)
        found = FoundPictures(pictures=(PICTURE,), failures=(), left_out=Counter())
        answers = interpret_outputs(model, found, rows, top=len(model.labels))
        for failure in answers.failures:
            raise failure.error
        record = answers_record(model, answers, runtime=classifier.engine)
        return Prediction(answer=answers.answered[0], record={**record, "notice": NOTICE})

    def strip(self, picture: bytes) -> bytes:
        """Return the picture without metadata; the process that decodes it also parses it for that."""
        try:
            return self._decoder.strip(picture)
        except PictureError as error:
            raise PictureError(PICTURE, error.reason, error.what, error.hint) from error

    def close(self) -> None:
        self._host.close()
        self._decoder.close()
