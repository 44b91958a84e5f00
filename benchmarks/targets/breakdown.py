"""Ask where the time from a picture file to its label goes: decode, resize, copy, invoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.protocol import replies
from benchmarks.protocol.jobs import Carry, Laid, WorkerDied, head_of
from benchmarks.protocol.plan import Plan, Setting
from benchmarks.protocol.results import Steps
from dermpack.imaging import Policy

MODULE = "benchmarks.worker.breakdown_worker"
PICTURES = 30
PATIENCE_SECONDS = 300.0


def break_down(
    plan: Plan, laid: Laid, carry: Carry, *, settings: Sequence[Setting]
) -> tuple[tuple[Steps, ...], tuple[str, ...]]:
    """The steps of every model under each setting, and in words what could not be asked.

    The carry runs `benchmarks.worker.breakdown_worker`; without pictures there is nothing to decode.
    """
    found, notes = list[Steps](), list[str]()
    for setting in settings if plan.scored else ():
        for model in _models(plan, laid):
            try:
                found.append(_asked(plan, model, carry, setting))
            except (WorkerDied, replies.UnreadableError) as error:
                notes.append(f"{model['name']}: its steps are not known under {setting} ({error})")
    return tuple(found), tuple(notes)


def _models(plan: Plan, laid: Laid) -> list[dict[str, Any]]:
    return [
        {**named, "size": model.size, "policy": (model.sidecar.policy if model.sidecar else CENTRE).value}
        for named, model in zip(laid.models, plan.models, strict=True)
    ]


CENTRE = Policy.CENTRE_SQUARE


def _asked(plan: Plan, model: Mapping[str, Any], carry: Carry, setting: Setting) -> Steps:
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
