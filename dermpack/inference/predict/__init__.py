"""Predict picture files with a .tflite: find them, run the model, and apply its contract to the outputs."""

from dermpack.inference.predict.answer_formats import NOT_SURE, answers_csv, answers_record, format_answers
from dermpack.inference.predict.answers import (
    Answer,
    Answers,
    Failure,
    Flag,
    OutputKind,
    PictureOutputs,
    ScoredLabel,
    classify_pictures,
    count_hosts,
    interpret_outputs,
)
from dermpack.inference.predict.opened_model import OpenedModel, find_model_file, open_model
from dermpack.inference.predict.picture_search import FoundPictures, find_pictures

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
    "answers_csv",
    "answers_record",
    "classify_pictures",
    "count_hosts",
    "find_model_file",
    "find_pictures",
    "format_answers",
    "interpret_outputs",
    "open_model",
]
