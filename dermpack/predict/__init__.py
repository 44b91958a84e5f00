"""What a .tflite says of picture files, in the words of its contract."""

from dermpack.predict.answer import Answer, Answers, Failure, Flag, Guess, Kind, answers_of
from dermpack.predict.model import Model, model_file, open_model
from dermpack.predict.pictures import Found, find_pictures
from dermpack.predict.records import record, table_bytes
from dermpack.predict.running import Ran, hosts_for, run
from dermpack.predict.text import NOT_SURE, text

__all__ = [
    "NOT_SURE",
    "Answer",
    "Answers",
    "Failure",
    "Flag",
    "Found",
    "Guess",
    "Kind",
    "Model",
    "Ran",
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
