"""Write an export folder: one .tflite, its contract, and what was proven of it."""

from __future__ import annotations

from pathlib import Path

from converter.export.contract_record import (
    VerifiedFile,
    contract_of,
    licence_of,
    model_name,
    model_version,
    temperature_of,
)
from converter.export.runtime_trials import try_runtimes
from converter.search.choose import TriedCandidate
from converter.sources.run_source import RunSource
from dermpack.contract import CONTRACT_FILE, Contract, contract_text
from dermpack.metrics.calibration import Temperature
from dermpack.storage.files import json_text, sha256_of, write_bytes, write_text
from dermpack.tflite import Metadata, temperature_calibration, with_metadata

MODEL_FILE, PROOF_FILE = "model.tflite", "verification.json"
SCHEMA = 1  # of verification.json
MIDDLE = 127.5  # pixel x is fed as x / 127.5 - 1


def write_export(folder: Path, source: RunSource, tried: TriedCandidate) -> Contract:
    """Everything is checked and run again with the metadata in: it is these bytes that are shipped."""
    temperature = temperature_of(tried.verdict)
    data = with_metadata(tried.candidate.data, _metadata(source, tried, temperature))
    model = tried.candidate.check(data, source)
    write_bytes(folder / MODEL_FILE, data)
    expected = tried.verdict.predictions.probabilities
    runtimes = try_runtimes(folder / MODEL_FILE, source, expected)
    proven = VerifiedFile(data=data, model=model, runtimes=runtimes)
    contract = contract_of(source, tried, proven, temperature)
    text = contract_text(contract)
    write_text(folder / CONTRACT_FILE, text)
    write_text(folder / PROOF_FILE, json_text(_proof(contract, text, tried)))
    return contract


def _metadata(source: RunSource, tried: TriedCandidate, temperature: Temperature) -> Metadata:
    """What MediaPipe and others need to feed and to name; the contract says the rest."""
    run = source.run
    return Metadata(
        name=model_name(source, tried),
        description="Research software, not a medical device.",
        version=model_version(source),
        author="dermpack",
        licence=licence_of(source),
        labels=run.classes,
        mean=(MIDDLE,),
        std=(MIDDLE,),
        lowest=(-1.0,),
        highest=(1.0,),
        calibration=temperature_calibration(len(run.classes), temperature.value),
    )


def _proof(contract: Contract, text: str, tried: TriedCandidate) -> dict[str, object]:
    """What was checked when the folder was written; `dermpack verify` checks it again."""
    recipe = contract.recipe
    return {
        "schema": SCHEMA,
        "sha256": {MODEL_FILE: contract.sha256, CONTRACT_FILE: sha256_of(text.encode())},
        "promise": {
            "recipe": recipe.name,
            "method": recipe.method,
            "input": contract.input.dtype.value,
            "output": contract.output.dtype.value,
            "float_layers": list(recipe.float_layers),
            "kept": True,
        },
        "runtimes": [
            {
                "runtime": f"{of.runtime} {of.version}",
                "delegate": of.delegate,
                "works": of.works,
                "result": of.result,
            }
            for of in contract.runtimes.tried
        ],
        "notes": list(tried.candidate.notes),
    }
