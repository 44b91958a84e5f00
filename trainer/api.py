"""Provide everything that the converter may import from the trainer; each name is loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.data.batches import Feed as Feed
    from trainer.data.examples import Examples as Examples
    from trainer.data.examples import read_examples as read_examples
    from trainer.fitting.checkpoint import FitResult as FitResult
    from trainer.fitting.events import ProgressCallback as ProgressCallback
    from trainer.fitting.loop import fit as fit
    from trainer.fitting.loop import predict as predict
    from trainer.fitting.plan import FitPlan as FitPlan
    from trainer.model.backbones import STATEFUL_RANDOM as STATEFUL_RANDOM
    from trainer.model.keras_file import FileLayer as FileLayer
    from trainer.model.keras_file import KerasModelFile as KerasModelFile
    from trainer.model.keras_file import read_keras_model as read_keras_model
    from trainer.recipe.recipe import Goal as Goal
    from trainer.recipe.recipe import Recipe as Recipe
    from trainer.runs import RUN_FILE as RUN_FILE
    from trainer.runs.run_folder import Run as Run
    from trainer.runs.run_folder import fitting_recipe as fitting_recipe
    from trainer.runs.run_folder import load_softmax as load_softmax
    from trainer.runs.run_folder import read_run as read_run

# A type checker reads the imports above; at run time this table loads TensorFlow only where it is needed.
_MODULES = {
    "trainer.data.batches": ("Feed",),
    "trainer.data.examples": ("Examples", "read_examples"),
    "trainer.fitting.checkpoint": ("FitResult",),
    "trainer.fitting.events": ("ProgressCallback",),
    "trainer.fitting.loop": ("fit", "predict"),
    "trainer.fitting.plan": ("FitPlan",),
    "trainer.runs": ("RUN_FILE",),
    "trainer.model.backbones": ("STATEFUL_RANDOM",),
    "trainer.model.keras_file": ("FileLayer", "KerasModelFile", "read_keras_model"),
    "trainer.recipe.recipe": ("Goal", "Recipe"),
    "trainer.runs.run_folder": ("Run", "fitting_recipe", "load_softmax", "read_run"),
}
_MODULE_OF_NAME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_MODULE_OF_NAME[name]), name)
