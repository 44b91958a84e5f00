"""What the converter may import from the trainer, loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.data.batches import Feed as Feed
    from trainer.data.batches import read_examples as read_examples
    from trainer.data.examples import Examples as Examples
    from trainer.fitting.events import unwatched as unwatched
    from trainer.fitting.loop import fit as fit
    from trainer.fitting.loop import predict as predict
    from trainer.fitting.plan import Goal as Goal
    from trainer.recipe.recipe import RUN_FILE as RUN_FILE
    from trainer.runs.run_folder import Run as Run
    from trainer.runs.run_folder import fitting_of as fitting_of
    from trainer.runs.run_folder import load_softmax as load_softmax
    from trainer.runs.run_folder import read_run as read_run

_MODULES = {
    "trainer.data.batches": ("Feed", "read_examples"),
    "trainer.data.examples": ("Examples",),
    "trainer.fitting.events": ("Watch", "unwatched"),
    "trainer.fitting.loop": ("Fitted", "fit", "predict"),
    "trainer.fitting.plan": ("Goal", "Plan"),
    "trainer.recipe.recipe": ("RUN_FILE",),
    "trainer.runs.run_folder": ("Run", "fitting_of", "load_softmax", "read_run"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_MODULE_OF[name]), name)
