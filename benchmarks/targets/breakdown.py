"""Ask where the time from a picture file to its label goes: decode, resize, copy, invoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.protocol import replies
from benchmarks.protocol.jobs import Carry, JobFolder, WorkerDied, head_of
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import StepMedians
from dermpack.imaging import Policy

MODULE = "benchmarks.worker.breakdown_worker"
PICTURES = 30
PATIENCE_SECONDS = 300.0


def break_down(
    plan: BenchmarkPlan, laid: JobFolder, carry: Carry, *, settings: Sequence[Setting]
) -> tuple[tuple[StepMedians, ...], tuple[str, ...]]:
    """The steps of every model under each setting, and in words what could not be asked.

    The carry runs `benchmarks.worker.breakdown_worker`; without pictures there is nothing to decode.
    """
    found, notes = list[StepMedians](), list[str]()
    for setting in settings if plan.scored else ():
        for model in _models(plan, laid):
            try:
                found.append(_asked(plan, model, carry, setting))
            except (WorkerDied, replies.UnreadableError) as error:
                notes.append(f"{model['name']}: its steps are not known under {setting} ({error})")
    return tuple(found), tuple(notes)


def _models(plan: BenchmarkPlan, laid: JobFolder) -> list[dict[str, Any]]:
    return [
        {**named, "size": model.size, "policy": (model.sidecar.policy if model.sidecar else CENTRE).value}
        for named, model in zip(laid.models, plan.models, strict=True)
    ]


CENTRE = Policy.CENTRE_SQUARE


def _asked(plan: BenchmarkPlan, model: Mapping[str, Any], carry: Carry, setting: Setting) -> StepMedians:
    assert plan.scored is not None
    pictures = plan.scored.pictures[:PICTURES]
    job = {
        **head_of("break down", setting, [model], patience_seconds=PATIENCE_SECONDS),
        "files": [str(plan.scored.dataset.file(picture).absolute()) for picture in pictures],
    }
    said = carry(job)
    return replies.steps(
        replies.entries(said, names=[model["name"]])[0], model=model["name"], setting=setting
    )
