"""What a phone is asked, process by process, and what it told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from benchmarks.protocol.plan import BenchmarkPlan, Setting, Timing
from benchmarks.protocol.results import ProfiledModel, RefusedModel, SummarizedModel, TargetMeasurement
from benchmarks.targets.adb.benchmark_model import (
    ToolOutput,
    complaint,
    profile_arguments,
    read_profile,
    read_timing,
    timing_arguments,
)
from benchmarks.targets.adb.phone_shell import CommandOutput

PASSES = 3  # processes of each model under each setting, in turns with the other models: A B A B A B


class PhoneJobKind(Enum):
    TIME = "time"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneStep:
    """One process on the phone."""

    setting: Setting
    kind: PhoneJobKind
    at: int  # the model's place in the plan
    model: str

    def arguments(self, graph: str, *, timing: Timing) -> tuple[str, ...]:
        if self.kind is PhoneJobKind.TIME:
            return timing_arguments(graph, setting=self.setting, timing=timing)
        return profile_arguments(graph, setting=self.setting)


def steps(plan: BenchmarkPlan, settings: Sequence[Setting]) -> tuple[PhoneStep, ...]:
    """Under each setting all models in turns for the time, then each once for its operators."""
    found = []
    for setting in settings:
        for kind in (*[PhoneJobKind.TIME] * PASSES, PhoneJobKind.PROFILE):
            for at, model in enumerate(plan.models):
                found.append(PhoneStep(setting=setting, kind=kind, at=at, model=model.name))
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class PhoneResults:
    """What the phone told so far."""

    settings: tuple[Setting, ...]
    environment: dict[str, str]
    notes: list[str]
    told: dict[tuple[str, Setting], list[ToolOutput]] = field(default_factory=dict)
    profiled: list[ProfiledModel] = field(default_factory=list)
    refused: dict[tuple[str, Setting], str] = field(default_factory=dict)

    def refuses(self, step: PhoneStep) -> bool:
        return (step.model, step.setting) in self.refused

    def take(self, step: PhoneStep, said: CommandOutput) -> None:
        key = (step.model, step.setting)
        if step.kind is PhoneJobKind.PROFILE:
            if operators := read_profile(said.text):
                self.profiled.append(
                    ProfiledModel(model=step.model, setting=step.setting, operators=operators)
                )
        elif said.code:
            self.refused[key] = f"{complaint(said.text)} (exit code {said.code})"
        elif told := read_timing(said.text, kernels=step.setting.kernels):
            self.told.setdefault(key, []).append(told)
        else:
            self.refused[key] = "what benchmark_model said is not understood; take a newer one"
        if key in self.refused:
            self.told.pop(key, None)

    def measured(self, plan: BenchmarkPlan, *, target: str) -> TargetMeasurement:
        asked = {
            (step.model, step.setting): "the phone was lost before it was asked"
            for step in steps(plan, self.settings)
        }
        refused = {key: why for key, why in asked.items() if key not in self.told} | self.refused
        return TargetMeasurement(
            target=target,
            is_emulated=False,
            environment=self.environment,
            summarized=tuple(_summarized(*key, told) for key, told in self.told.items()),
            profiled=tuple(self.profiled),
            refused=tuple(
                RefusedModel(model=key[0], setting=key[1], why=why) for key, why in refused.items()
            ),
            notes=tuple(self.notes),
        )


def _summarized(model: str, setting: Setting, told: list[ToolOutput]) -> SummarizedModel:
    passes = tuple(of.figures for of in told)
    return SummarizedModel(model=model, setting=setting, passes=passes, delegated=told[0].delegated)
