"""Render the documents of a bundle from the templates: README.md, MODEL_CARD.md and NOTICE.

Every text among the values is escaped when it is inserted, because names, labels and licences come from
others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dermpack import __version__
from dermpack.bundle.android_module import COMPILE_SDK, MIN_AGP, MIN_SDK, TEMPLATES
from dermpack.bundle.bundle_record import Bundle
from dermpack.bundle.golden_vectors import MOST_LEVELS_APART, allowed_difference
from dermpack.bundle.licences import KNOWN_LICENCES, find_spdx_name, licence_name, licence_source
from dermpack.bundle.reports import ScoredDataset, VariantScores, VariantTimes
from dermpack.bundle.variants import Variant
from dermpack.errors import InputError
from dermpack.evaluation.report import LABEL_COLUMNS, OVERALL
from dermpack.reporting.markdown import markdown_cell, to_one_line
from dermpack.reporting.page import render_template

SPLITS = ("train", "validation", "test")  # in the order of their use
MAX_MEANING_CHARACTERS = 200
Meanings = Mapping[str, str]  # label → what it means, in words; labels without a description are left out
NO_MEANINGS: Meanings = {}


def read_meanings(options: Sequence[str], labels: Sequence[str]) -> Meanings:
    """Parse descriptions of labels, LABEL=WORDS each: "akiec=actinic keratosis"."""
    meanings: dict[str, str] = {}
    for text in options:
        label, _, words = (part.strip() for part in text.partition("="))
        if not words.isprintable() or not 0 < len(words) <= MAX_MEANING_CHARACTERS:
            limit = f"at most {MAX_MEANING_CHARACTERS} characters of words"
            what = f"must be LABEL=WORDS in a single line, with {limit}"
            hint = "Write it like --describe mel=melanoma."
            raise InputError(f"--describe {text[:80]!r}", what, hint, code="invalid-option")
        if label not in labels:
            what, hint = "not a label of this model", f"Choose one of: {', '.join(labels)}."
            raise InputError(f"--describe {label[:80]}", what, hint, code="unknown-label")
        if label in meanings:
            what, hint = "the label is described twice", "Describe each label once."
            raise InputError(f"--describe {label}", what, hint, code="invalid-option")
        meanings[label] = words
    return meanings


def render_readme(
    bundle: Bundle, variants: Sequence[Variant], golden: Mapping[str, bytes], meanings: Meanings
) -> bytes:
    """Render README.md for the developer of an app; every number in it comes from a contract."""
    contract = variants[0].contract
    values = {
        "bundle": bundle,
        "variants": variants,
        "contract": contract,
        "meanings": meanings,
        "licence_name": licence_name,
        "allowed_difference": allowed_difference,
        "most_levels_apart": MOST_LEVELS_APART,
        "golden_bytes": sum(map(len, golden.values())),
        "working_runtimes": [result for result in contract.runtimes.tried if result.works],
        "compile_sdk": COMPILE_SDK,
        "min_agp": MIN_AGP,
        "min_sdk": MIN_SDK,
    }
    return _render("README.md.j2", values, escape=markdown_cell)


def render_model_card(
    bundle: Bundle,
    variants: Sequence[Variant],
    scores: Sequence[VariantScores] = (),
    times: Sequence[VariantTimes] = (),
    meanings: Meanings = NO_MEANINGS,
) -> bytes:
    """Render MODEL_CARD.md, one card for all variants: they share the data and the labels."""
    contract = variants[0].contract
    # Only an evaluation on the training dataset describes the data that the model was trained on.
    own_data = (score.data for score in scores if score.data.sha256 == contract.parents.dataset)
    data = next(own_data, ScoredDataset())
    values = {
        "bundle": bundle,
        "variants": variants,
        "contract": contract,
        "meanings": meanings,
        "terms": KNOWN_LICENCES.get(find_spdx_name(contract.license)),
        "source": licence_source(contract.license),
        "data": data,
        "splits": [split for split in SPLITS if any(data.counts.get(split, {}).values())],
        "counted_labels": list(dict.fromkeys(label for counts in data.counts.values() for label in counts)),
        "total_pictures": sum(sum(counts.values()) for counts in data.counts.values()),
        "scores": scores,
        "times": times,
        "overall": OVERALL,
        "label_columns": LABEL_COLUMNS,
    }
    return _render("MODEL_CARD.md.j2", values, escape=markdown_cell)


def render_notice(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    """Render NOTICE: who owns the parts of a bundle."""
    values = {
        "bundle": bundle,
        "variants": variants,
        "dermpack_version": __version__,
        "licence_name": licence_name,
    }
    return _render("NOTICE.j2", values, escape=to_one_line)


def _render(name: str, values: Mapping[str, object], *, escape: Callable[[str], str]) -> bytes:
    template: Path = TEMPLATES / name
    return render_template(template, values, escape=escape).encode()
