"""What can go wrong for a person, said in one line.

DermpackError            where: what; cure            exit code 1
├── InputError           something given is not what it should be
│   ├── PictureError     one picture; carries the reason by name
│   ├── TableError       a CSV, JSON or TOML file, or a binary table
│   └── DatasetError     a dataset folder
├── OutputError          a result cannot be written
├── WorkerError          another worker of the same training is gone
└── MissingExtraError    a part of the program that is not installed

Anything else that escapes is a bug and keeps its traceback. The one boundary is `dermpack.cli.main`.
"""

from __future__ import annotations

EXTRA_OF_MODULE = {
    "imagehash": "data",
    "jinja2": "data",
    "matplotlib": "data",
    "pandas": "data",
    "scipy": "data",
    "sklearn": "data",
    "h5py": "train",
    "tensorflow": "train",
    "tensorflow_model_optimization": "train",
    "tf_keras": "train",
    "tomli": "train",
    "optuna": "tune",
    "sqlalchemy": "tune",
    "ai_edge_litert": "device",
    "tflite_runtime": "device",
    "cryptography": "sign",
}


class DermpackError(Exception):
    """Where it is, what is wrong with it, and how to mend it."""

    def __init__(self, where: object, what: str, cure: str) -> None:
        super().__init__(printable(f"{where}: {what}; {cure}"))
        self.where, self.what, self.cure = str(where), what, cure

    def __reduce__(self) -> tuple[type[DermpackError], tuple[object, ...]]:
        return type(self), (self.where, self.what, self.cure)  # errors cross process borders


class InputError(DermpackError):
    """Something given is not what it should be."""


class TableError(InputError):
    """A CSV, JSON or TOML file, or a binary table."""


class DatasetError(InputError):
    """A dataset folder."""


class PictureError(InputError):
    """One picture; `reason` is one of the names in `dermpack.pixels.Reason`."""

    def __init__(self, where: object, reason: str, what: str, cure: str) -> None:
        super().__init__(where, what, cure)
        self.reason = reason

    def __reduce__(self) -> tuple[type[DermpackError], tuple[object, ...]]:
        return type(self), (self.where, self.reason, self.what, self.cure)


class OutputError(DermpackError):
    """A result cannot be written."""


class WorkerError(DermpackError):
    """Another worker of the same training is gone."""


class MissingExtraError(DermpackError):
    """A part of the program that is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(module, "is not installed", f'run: pip install "dermpack[{extra}]"')
        self.module, self.extra = module, extra

    def __reduce__(self) -> tuple[type[DermpackError], tuple[object, ...]]:
        return type(self), (self.module, self.extra)


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Name the extra that holds the module, or None where the import is simply wrong."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return MissingExtraError(module, extra) if extra else None


def printable(text: str) -> str:
    """Escape what would break the line or move the cursor; all other text stays as it is."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()
