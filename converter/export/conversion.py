"""Convert a model: try candidates for each recipe, then write the best and the rejected ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from converter.export.export_folder import write_export
from converter.export.layer_report import write_layers
from converter.export.output_folders import SEVERAL_FILE, check_outputs, output_marker, rejected_folder
from converter.qat.qat_training import TrainingObservers
from converter.quantize.tflite_conversion import Quantization
from converter.request import ConversionRequest
from converter.search.accuracy_limit import AccuracyLimit, derive_limit
from converter.search.choose import TriedCandidate, choose_best, make_candidates, try_candidates
from converter.sources.run_source import find_dataset, open_run
from converter.sources.source import Source
from dermpack.contract import Contract
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track
from dermpack.storage.files import format_json, new_folder, write_text
from trainer.api import read_run

SCHEMA = 1
NO_OBSERVERS = TrainingObservers()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvertedFile:
    """All candidates of one recipe; `contract` is that of the best."""

    recipe: Quantization
    tried: tuple[TriedCandidate, ...]
    best: TriedCandidate
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversion:
    """The result of `convert_source`."""

    files: tuple[ConvertedFile, ...]
    limit: AccuracyLimit  # that decided between the candidates
    rejected: Path | None
    dataset: Path  # on which the files were compared
    float_predictions: Predictions  # of the validation split
    notes: tuple[str, ...] = ()  # on how the model was understood

    @property
    def is_within(self) -> bool:
        """Whether the int8 file, if there is one, is within the limit."""
        return all(file.best.is_within for file in self.files if file.recipe is Quantization.INT8)


def convert_run(
    run_folder: Path,
    output: Path,
    request: ConversionRequest,
    *,
    data: Path | None = None,
    overwrite: bool = False,
    observers: TrainingObservers = NO_OBSERVERS,
) -> Conversion:
    """Write the export of a run to `output`, and the rejected candidates to `output`.rejected."""
    # Check everything that can be checked without TensorFlow first.
    run = read_run(run_folder)
    check_outputs(output, recipes=len(request.recipes), overwrite=overwrite)
    source = open_run(
        run,
        find_dataset(run, data),
        threads=request.threads,
        evidence=request.evidence,
        track=observers.track,
    )
    return convert_source(source, output, request, overwrite=overwrite, observers=observers)


def convert_source(
    source: Source,
    output: Path,
    request: ConversionRequest,
    *,
    overwrite: bool = False,
    observers: TrainingObservers = NO_OBSERVERS,
) -> Conversion:
    """Write the export of a source to `output`, and the rejected candidates to `output`.rejected."""
    check_outputs(output, recipes=len(request.recipes), overwrite=overwrite)
    rejected, marker = rejected_folder(output), output_marker(recipes=len(request.recipes))
    # An interrupted conversion leaves this folder, and the next one continues its training.
    training_folder = output.absolute().with_name(f".{output.name}.{source.identity[:12]}.training")
    tried = {}
    for recipe in request.recipes:
        # Closed at once: candidates of a .tflite come from a child process that ends with them.
        with closing(make_candidates(source, recipe, request, training_folder, observers)) as candidates:
            compared = try_candidates(candidates, source, request, track=observers.track)
        # One candidate measured the layer errors, if any did; whichever is best is exported with them.
        errors = next((one.candidate.errors for one in compared if one.candidate.errors), ())
        tried[recipe] = tuple(
            replace(one, candidate=replace(one.candidate, errors=errors)) for one in compared
        )
    best = {recipe: choose_best(candidates) for recipe, candidates in tried.items()}
    # A rejected file has no layer report.
    others = {
        one.candidate.name: replace(one, candidate=replace(one.candidate, errors=()))
        for recipe, candidates in tried.items()
        for one in candidates
        if one is not best[recipe]
    }
    # A single export is the output folder itself; several ones are in folders below it.
    named = {recipe.value if len(best) > 1 else "": one for recipe, one in best.items()}
    # Both folders are complete before either takes its place.
    with ExitStack() as stack:
        if others:
            folder = stack.enter_context(new_folder(rejected, marker=SEVERAL_FILE, overwrite=True))
            _write_exports(folder, source, others, request, observers.track)
        folder = stack.enter_context(new_folder(output, marker=marker, overwrite=overwrite))
        contracts = _write_exports(folder, source, named, request, observers.track)
    if not others:
        shutil.rmtree(rejected, ignore_errors=True)  # of the export that was overwritten
    shutil.rmtree(training_folder, ignore_errors=True)
    return Conversion(
        files=tuple(
            ConvertedFile(recipe=recipe, tried=tried[recipe], best=best[recipe], contract=contract)
            for recipe, contract in zip(tried, contracts, strict=True)
        ),
        limit=derive_limit(source.float_predictions, max_drop=request.max_drop),
        rejected=rejected if others else None,
        dataset=source.dataset.folder,
        float_predictions=source.float_predictions,
        notes=source.notes,
    )


def _write_exports(
    folder: Path,
    source: Source,
    named: Mapping[str, TriedCandidate],
    request: ConversionRequest,
    track: Track,
) -> list[Contract]:
    """Write the exports into the folders of these names, with layer reports of those that were measured."""
    contracts = []
    for name, tried in named.items():
        place, candidate = folder / name, tried.candidate
        place.mkdir(exist_ok=True)
        if candidate.errors:
            write_layers(place, candidate.errors, float_layers=candidate.float_layers)
        contracts.append(write_export(place, source, tried, request, track=track))
    if "" not in named:
        write_text(folder / SEVERAL_FILE, format_json({"schema": SCHEMA, "exports": sorted(named)}))
    return contracts
