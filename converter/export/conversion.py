"""Convert a run: make the files, judge them, write what is kept and what is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from converter.export.export_folder import write_export
from converter.export.layer_report import write_layers
from converter.qat.qat_strategy import TrainingObservers
from converter.quantize.tflite_conversion import Quantization
from converter.search.accuracy_limit import AccuracyLimit, limit_of
from converter.search.choose import TriedCandidate, attempt, best_of
from converter.search.request import ConversionRequest
from converter.search.strategies import steps_of
from converter.sources.run_source import RunSource, find_dataset, open_source
from dermpack.contract import CONTRACT_FILE, Contract
from dermpack.storage.files import json_text, new_folder, refuse_existing, write_text
from trainer.api import read_run

SEVERAL_FILE = "exports.json"  # names the exports in a folder of several
SCHEMA = 1
REJECTED = ".rejected"
UNHEARD = TrainingObservers()
Write = Callable[[Path, RunSource, TriedCandidate], Contract]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvertedFile:
    """All that was tried for one recipe; `contract` is that of the best."""

    recipe: Quantization
    tried: tuple[TriedCandidate, ...]
    best: TriedCandidate
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversion:
    """What `convert` did; `limit` is what auto decided by."""

    made: tuple[ConvertedFile, ...]
    limit: AccuracyLimit
    rejected: Path | None
    dataset: Path  # that the run was trained on

    @property
    def is_within(self) -> bool:
        """Whether auto found a file that loses little enough."""
        return all(made.best.is_within for made in self.made if made.recipe is Quantization.INT8)


def convert_run(
    run_folder: Path,
    output: Path,
    request: ConversionRequest,
    *,
    data: Path | None = None,
    overwrite: bool = False,
    audience: TrainingObservers = UNHEARD,
) -> Conversion:
    """Write `output`, and beside it what was tried and not chosen; nothing else is touched."""
    run = read_run(run_folder)
    marker = SEVERAL_FILE if len(request.recipes) > 1 else CONTRACT_FILE
    refuse_existing(output, marker=marker, overwrite=overwrite)
    refuse_existing(_rejected(output), marker=SEVERAL_FILE, overwrite=overwrite)
    source = open_source(run, find_dataset(run, data), threads=request.threads, track=audience.track)
    work = output.absolute().with_name(f".{output.name}.{source.run_sha256[:12]}.training")
    tried = {recipe: _tried(source, recipe, request, work, audience) for recipe in request.recipes}
    best = {recipe: best_of(of) for recipe, of in tried.items()}
    others = [one for recipe, of in tried.items() for one in of if one is not best[recipe]]
    contracts = _write(output, source, best, others, overwrite=overwrite)
    shutil.rmtree(work, ignore_errors=True)
    return Conversion(
        made=tuple(
            ConvertedFile(recipe=recipe, tried=of, best=best[recipe], contract=contracts[recipe])
            for recipe, of in tried.items()
        ),
        limit=limit_of(source.plain, max_drop=request.max_drop),
        rejected=_rejected(output) if others else None,
        dataset=source.dataset.folder,
    )


def _rejected(output: Path) -> Path:
    return output.with_name(output.name + REJECTED)


def _tried(
    source: RunSource,
    recipe: Quantization,
    request: ConversionRequest,
    work: Path,
    audience: TrainingObservers,
) -> tuple[TriedCandidate, ...]:
    """Layers are compared for one way to integers; what was seen is of use whichever is kept."""
    steps = steps_of(source, recipe, request, work, audience)
    tried = attempt(steps, source, request, track=audience.track)
    errors = next((one.candidate.errors for one in tried if one.candidate.errors), ())
    return tuple(replace(one, candidate=replace(one.candidate, errors=errors)) for one in tried)


def _write(
    output: Path,
    source: RunSource,
    best: Mapping[Quantization, TriedCandidate],
    others: Sequence[TriedCandidate],
    *,
    overwrite: bool,
) -> dict[Quantization, Contract]:
    """Both folders are whole before either takes its place."""
    rejected = _rejected(output)
    with ExitStack() as stack:
        if others:
            beside = stack.enter_context(new_folder(rejected, marker=SEVERAL_FILE, overwrite=True))
            _write_several(beside, source, {one.candidate.name: one for one in others})
        contracts = _write_best(output, source, best, overwrite=overwrite)
    if not others:
        shutil.rmtree(rejected, ignore_errors=True)  # of the export before: ours, or it would be refused
    return contracts


def _write_best(
    output: Path, source: RunSource, best: Mapping[Quantization, TriedCandidate], *, overwrite: bool
) -> dict[Quantization, Contract]:
    """One export, or a folder of several."""
    if len(best) == 1:
        ((recipe, tried),) = best.items()
        with new_folder(output, marker=CONTRACT_FILE, overwrite=overwrite) as folder:
            return {recipe: _write_with_layers(folder, source, tried)}
    named = {recipe.value: tried for recipe, tried in best.items()}
    with new_folder(output, marker=SEVERAL_FILE, overwrite=overwrite) as folder:
        return dict(zip(best, _write_several(folder, source, named, write=_write_with_layers), strict=True))


def _write_with_layers(folder: Path, source: RunSource, tried: TriedCandidate) -> Contract:
    """An export that is kept tells of its layers, where they were compared."""
    if tried.candidate.errors:
        write_layers(folder, tried.candidate.errors, kept=tried.candidate.kept)
    return write_export(folder, source, tried)


def _write_several(
    folder: Path, source: RunSource, named: Mapping[str, TriedCandidate], *, write: Write = write_export
) -> list[Contract]:
    contracts = []
    for name, tried in named.items():
        (folder / name).mkdir()
        contracts.append(write(folder / name, source, tried))
    write_text(folder / SEVERAL_FILE, json_text({"schema": SCHEMA, "exports": sorted(named)}))
    return contracts
