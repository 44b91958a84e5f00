"""Convert a run: make the files, judge them, write what is kept and what is not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converter.auto import Limit, Tried, attempt, best_of, limit_of
from converter.candidate import Material, Step, by_measuring, plainly, read_material
from converter.export import write_export
from converter.recipes import Recipe
from converter.request import Method, Request
from converter.source import Source, find_dataset, open_source
from converter.training import Audience, by_training
from dermpack.contract import CONTRACT_FILE, Contract
from dermpack.files import json_text, new_folder, refuse_existing, write_text
from trainer.run import read_run

SEVERAL_FILE = "exports.json"  # names the exports in a folder of several
SCHEMA = 1
REJECTED = ".rejected"
UNHEARD = Audience()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """All that was tried for one recipe; `contract` is that of the best."""

    recipe: Recipe
    tried: tuple[Tried, ...]
    best: Tried
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversion:
    """What `convert` did; `limit` is what auto decided by."""

    made: tuple[Made, ...]
    limit: Limit
    rejected: Path | None

    @property
    def is_within(self) -> bool:
        """Whether auto found a file that loses little enough."""
        return all(made.best.is_within for made in self.made if made.recipe is Recipe.INT8)


def convert_run(
    run_folder: Path,
    output: Path,
    request: Request,
    *,
    data: Path | None = None,
    overwrite: bool = False,
    audience: Audience = UNHEARD,
) -> Conversion:
    """Write `output`, and beside it what was tried and not chosen; nothing else is touched."""
    run = read_run(run_folder)
    rejected = output.with_name(output.name + REJECTED)
    marker = SEVERAL_FILE if len(request.recipes) > 1 else CONTRACT_FILE
    refuse_existing(output, marker=marker, overwrite=overwrite)
    refuse_existing(rejected, marker=SEVERAL_FILE, overwrite=overwrite)
    source = open_source(run, find_dataset(run, data), threads=request.threads, track=audience.track)
    work = output.absolute().with_name(f".{output.name}.{source.run_sha256[:12]}.training")
    tried = {
        recipe: attempt(steps, source, request, track=audience.track)
        for recipe, steps in _steps(source, request, work, audience).items()
    }
    best = {recipe: best_of(of) for recipe, of in tried.items()}
    contracts = _write_best(output, source, best, overwrite=overwrite)
    others = [one for recipe, of in tried.items() for one in of if one is not best[recipe]]
    _write_others(rejected, source, others)
    shutil.rmtree(work, ignore_errors=True)
    return Conversion(
        made=tuple(
            Made(recipe=recipe, tried=of, best=best[recipe], contract=contracts[recipe])
            for recipe, of in tried.items()
        ),
        limit=limit_of(source.plain, max_drop=request.max_drop),
        rejected=rejected if others else None,
    )


def _steps(
    source: Source, request: Request, work: Path, audience: Audience
) -> dict[Recipe, tuple[Step, ...]]:
    """For each recipe, what is to be tried in turn."""
    measures = any(recipe.needs_ranges for recipe in request.recipes)
    material = _material(source, request) if measures else None
    steps: dict[Recipe, tuple[Step, ...]] = {}
    for recipe in request.recipes:
        if material is None or not recipe.needs_ranges:
            steps[recipe] = (partial(plainly, source, recipe, request),)
        elif recipe is Recipe.INT8:
            ways = _ways(source, request, material, work, audience)
            steps[recipe] = tuple(ways[method] for method in _methods(source, request.method))
        else:
            steps[recipe] = (partial(by_measuring, source, recipe, request, material, audience.track),)
    return steps


def _ways(
    source: Source, request: Request, material: Material, work: Path, audience: Audience
) -> dict[Method, Step]:
    """Every way to int8."""
    return {
        Method.PTQ: partial(by_measuring, source, Recipe.INT8, request, material, audience.track),
        Method.QAT: partial(by_training, source, request, material, work, audience),
    }


def _methods(source: Source, asked: Method) -> tuple[Method, ...]:
    """What auto tries, the cheapest first."""
    if asked is not Method.AUTO:
        return (asked,)
    trains = source.run.spec.arch.qat_refusal is None
    return (Method.PTQ, Method.QAT) if trains else (Method.PTQ,)


def _material(source: Source, request: Request) -> Material:
    return read_material(source, count=request.pictures, seed=request.seed, threads=request.threads)


def _write_best(
    output: Path, source: Source, best: Mapping[Recipe, Tried], *, overwrite: bool
) -> dict[Recipe, Contract]:
    """One export, or a folder of several."""
    if len(best) == 1:
        ((recipe, tried),) = best.items()
        with new_folder(output, marker=CONTRACT_FILE, overwrite=overwrite) as folder:
            return {recipe: write_export(folder, source, tried)}
    named = {recipe.value: tried for recipe, tried in best.items()}
    with new_folder(output, marker=SEVERAL_FILE, overwrite=overwrite) as folder:
        return dict(zip(best, _write_several(folder, source, named), strict=True))


def _write_several(folder: Path, source: Source, named: Mapping[str, Tried]) -> list[Contract]:
    contracts = []
    for name, tried in named.items():
        (folder / name).mkdir()
        contracts.append(write_export(folder / name, source, tried))
    write_text(folder / SEVERAL_FILE, json_text({"schema": SCHEMA, "exports": sorted(named)}))
    return contracts


def _write_others(rejected: Path, source: Source, others: Sequence[Tried]) -> None:
    """What an earlier conversion rejected goes with its export."""
    if not others:
        shutil.rmtree(rejected, ignore_errors=True)  # ours, or it would have been refused
        return
    named = {one.candidate.method.value: one for one in others if one.candidate.method}
    with new_folder(rejected, marker=SEVERAL_FILE, overwrite=True) as folder:
        _write_several(folder, source, named)
