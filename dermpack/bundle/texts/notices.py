"""Say whose the parts of a bundle are, and list them as a bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dermpack import __version__
from dermpack.bundle.bundle_record import Bundle
from dermpack.bundle.texts.licence import KNOWN, licence_name, source_of, spdx_of
from dermpack.bundle.variants import Variant
from dermpack.contract import Accuracy
from dermpack.reporting.markdown import one_line
from dermpack.storage.files import json_text

CONSIDERATIONS = "Research software, not a medical device: what the model says is no diagnosis."


def notice_text(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    models = "".join(
        f"  {one_line(f'{of.contract.name} {of.contract.version}')}: {licence_name(of.contract.license)}\n"
        for of in variants
    )
    return f"""{bundle.name} {bundle.version}
Made by dermpack {__version__}.

Code (the Java and what builds it): Apache License 2.0, see LICENSE.
Model, under the licence of the data it was trained on:
{models}Golden pictures: generated, CC0 1.0, unless somebody named pictures of their own for this bundle.
Not included, fetched by the build: {bundle.runtime} (Apache License 2.0).

Research software, not a medical device.
""".encode()


def materials_text(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    """CycloneDX 1.6 with a model card a variant; no time, no serial number: the same for the same."""
    group, name, version = bundle.runtime.split(":")
    runtime = f"pkg:maven/{group}/{name}@{version}"
    parts = [_model(of, at == 0) for at, of in enumerate(variants)]
    return json_text(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "tools": {
                    "components": [{"type": "application", "name": "dermpack", "version": __version__}]
                },
                "component": {
                    "type": "library",
                    "bom-ref": bundle.slug,
                    "name": bundle.name,
                    "version": bundle.version,
                    "licenses": [{"license": {"id": "Apache-2.0"}}],
                },
            },
            "components": [*parts, _runtime(group, name, version, runtime)],
            "dependencies": [{"ref": bundle.slug, "dependsOn": [*(of["bom-ref"] for of in parts), runtime]}],
        }
    ).encode()


def _runtime(group: str, name: str, version: str, purl: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": purl,
        "group": group,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def _model(of: Variant, is_main: bool) -> dict[str, Any]:
    contract = of.contract
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model-{of.name}",
        "name": contract.name,
        "version": contract.version,
        "scope": "required" if is_main else "optional",
        "hashes": [{"alg": "SHA-256", "content": contract.sha256}],
        "licenses": [{"license": _licence(contract.license)}],
        **({"copyright": whose} if (whose := source_of(contract.license)) else {}),
        "modelCard": {
            "modelParameters": {
                "task": contract.task,
                "approach": {"type": "supervised"},
                "inputs": [{"format": f"{contract.input.dtype.value} RGB picture"}],
                "outputs": [{"format": f"{contract.output.dtype.value} number a label"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [metric for split in contract.accuracy for metric in _metrics(split)]
            },
            "considerations": {
                "useCases": [contract.intended_use],
                "technicalLimitations": [CONSIDERATIONS],
            },
        },
        "pedigree": {"notes": f"trained in run {contract.parents.run} on dataset {contract.parents.dataset}"},
    }


def _licence(text: str) -> dict[str, str]:
    """By its SPDX name and address, or in its own words."""
    spdx = spdx_of(text)
    return {"id": spdx, "url": KNOWN[spdx].address} if spdx else {"name": licence_name(text)}


def _metrics(split: Accuracy) -> list[dict[str, Any]]:
    return [
        {"type": of.metric, "value": f"{of.of_file:.6g}", "slice": f"{split.split} split"}
        for of in split.figures
    ]
