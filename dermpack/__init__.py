"""dermpack: from a folder of skin pictures to a small, fast, trustworthy .tflite.

The names of `__all__` are the Python API, described in docs/python-api.md. Each is loaded on first use, so
that `import dermpack` takes milliseconds and needs no optional dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.export.conversion import Conversion
    from converter.quantize.tflite_conversion import Quantization
    from dermpack.api import (
        convert,
        evaluate,
        import_dataset,
        open_classifier,
        package,
        predict,
        train,
        verify_bundle,
        verify_export,
    )
    from dermpack.bundle.bundle_record import Bundle, BundleFormat
    from dermpack.bundle.read_bundle import read_bundle
    from dermpack.contract import Contract, read_contract
    from dermpack.dataset.manifest import Dataset, DuplicateSearch, Picture, Split, read_dataset
    from dermpack.errors import (
        DatasetError,
        DermpackError,
        InputError,
        MissingExtraError,
        OutputError,
        PictureError,
        TableError,
    )
    from dermpack.evaluation.evaluate import Evaluation
    from dermpack.imaging.preprocessing import Policy, prepare
    from dermpack.inference.classifier import Classifier
    from dermpack.inference.predict.answers import Answers
    from dermpack.verification.check_result import CheckOutcome, Verification
    from trainer.recipe.network_spec import Arch, Weights
    from trainer.recipe.recipe import Recipe
    from trainer.runs.run_folder import Run, read_run

__version__ = "0.2.0"

# A type checker reads the imports above; at run time, this table maps each name to its module.
_NAMES_OF_MODULE = {
    "converter.export.conversion": ("Conversion",),
    "converter.quantize.tflite_conversion": ("Quantization",),
    "dermpack.api": (
        *("convert", "evaluate", "import_dataset", "open_classifier", "package", "predict", "train"),
        *("verify_bundle", "verify_export"),
    ),
    "dermpack.bundle.bundle_record": ("Bundle", "BundleFormat"),
    "dermpack.bundle.read_bundle": ("read_bundle",),
    "dermpack.contract": ("Contract", "read_contract"),
    "dermpack.dataset.manifest": ("Dataset", "DuplicateSearch", "Picture", "Split", "read_dataset"),
    "dermpack.errors": (
        *("DatasetError", "DermpackError", "InputError", "MissingExtraError", "OutputError"),
        *("PictureError", "TableError"),
    ),
    "dermpack.evaluation.evaluate": ("Evaluation",),
    "dermpack.imaging.preprocessing": ("Policy", "prepare"),
    "dermpack.inference.classifier": ("Classifier",),
    "dermpack.inference.predict.answers": ("Answers",),
    "dermpack.verification.check_result": ("CheckOutcome", "Verification"),
    "trainer.recipe.network_spec": ("Arch", "Weights"),
    "trainer.recipe.recipe": ("Recipe",),
    "trainer.runs.run_folder": ("Run", "read_run"),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}

__all__ = [
    "Answers", "Arch", "Bundle", "BundleFormat", "CheckOutcome", "Classifier", "Contract", "Conversion",
    "Dataset", "DatasetError", "DermpackError", "DuplicateSearch", "Evaluation", "InputError",
    "MissingExtraError", "OutputError", "Picture", "PictureError", "Policy", "Quantization", "Recipe",
    "Run", "Split", "TableError", "Verification", "Weights", "convert", "evaluate", "import_dataset",
    "open_classifier", "package", "predict", "prepare", "read_bundle", "read_contract", "read_dataset",
    "read_run", "train", "verify_bundle", "verify_export",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
