"""A history for TensorBoard, as the same bytes each time: its clock counts epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import Summary
from tensorflow.core.util.event_pb2 import Event

from trainer.fitting.events import Epoch

EVENTS_FILE = "events.out.tfevents.0.dermpack"  # TensorBoard looks for "tfevents" in the name


def write_logs(history: Sequence[Epoch], folder: Path) -> None:
    """One scalar a figure and epoch; a longer history begins with the bytes of a shorter one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / EVENTS_FILE)) as writer:
        writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
        for epoch in history:
            writer.write(_event(epoch).SerializeToString())


def _event(epoch: Epoch) -> Any:
    figures = {"loss": epoch.loss, "rate": epoch.rate}
    figures |= {f"validation/{name}": value for name, value in sorted(epoch.validation.items())}
    values = [Summary.Value(tag=tag, simple_value=figure) for tag, figure in figures.items()]
    return Event(wall_time=float(epoch.number), step=epoch.number, summary=Summary(value=values))
