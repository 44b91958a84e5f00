"""Make the export of a .tflite that is kept as it is: its contract, with what was measured on a dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converter.export.export_folder import make_accuracy_record
from converter.search.accuracy_limit import COMPARED_METRICS
from converter.sources.source import SourcePicture, read_split
from converter.sources.tflite_source import predict_rows
from dermpack import contract as contracts
from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.foreign_model import ForeignModel
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import compare_metric
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.thresholds import COVERAGE, fit_abstention
from dermpack.progress import Track, silent
from dermpack.storage.files import check_output_folder, new_folder
from dermpack.verification.export_files import describe_kept_file, write_export_files


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptFile:
    """The contract of a file that was kept as it is, and its predictions of the validation split."""

    contract: contracts.Contract
    predictions: Predictions  # before any temperature


def export_kept_file(
    model: ForeignModel,
    dataset: Dataset,
    output: Path,
    *,
    input_evidence: contracts.InputEvidence | None = None,
    threads: int = 2,
    overwrite: bool = False,
    track: Track = silent,
) -> KeptFile:
    """Write the export of a quantized file, whose bytes stay the same."""
    check_output_folder(output, marker=contracts.CONTRACT_FILE, overwrite=overwrite)
    contract = describe_kept_file(model, dataset_sha256=dataset.sha256, licence=dataset.licence)
    policy = Policy(contract.picture.policy)
    examples = read_split(
        dataset,
        Split.VALIDATION,
        labels=model.labels,
        picture=SourcePicture(size=model.size, policy=policy),
        where=model.path,
        threads=threads,
        track=track,
    )
    rows = np.asarray(examples.copies[0])
    predictions = predict_rows(model, examples, rows, threads=threads, track=track)
    temperature = fit_temperature(predictions)
    # The file is its own original, so the differences are 0.
    figures = {name: compare_metric(predictions, predictions, OVERALL[name]) for name in COMPARED_METRICS}
    contract = replace(
        contract,
        outputs={contracts.PROBABILITIES: replace(contract.probabilities, temperature=temperature)},
        abstention=fit_abstention(calibrate(predictions, temperature), coverage=COVERAGE),
        accuracy=(make_accuracy_record(figures, n=len(predictions), agreement=1.0),),
        input_evidence=input_evidence,
    )
    with new_folder(output, marker=contracts.CONTRACT_FILE, overwrite=overwrite) as folder:
        write_export_files(folder, model.data, contract)
    return KeptFile(contract=contract, predictions=predictions)
