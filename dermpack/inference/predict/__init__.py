"""What a .tflite says of picture files, in the words of its contract."""

from dermpack.inference.predict.answers import (
    Answer,
    Answers,
    Failure,
    Flag,
    OutputKind,
    ScoredLabel,
    answers_of,
)
from dermpack.inference.predict.opened_model import OpenedModel, model_file, open_model
from dermpack.inference.predict.parallel_inference import PictureOutputs, hosts_for, run
from dermpack.inference.predict.picture_search import FoundPictures, find_pictures
from dermpack.inference.predict.tables import record, table_bytes
from dermpack.inference.predict.terminal_text import NOT_SURE, text

__all__ = [
    "NOT_SURE",
    "Answer",
    "Answers",
    "Failure",
    "Flag",
    "FoundPictures",
    "OpenedModel",
    "OutputKind",
    "PictureOutputs",
    "ScoredLabel",
    "answers_of",
    "find_pictures",
    "hosts_for",
    "model_file",
    "open_model",
    "record",
    "run",
    "table_bytes",
    "text",
]
