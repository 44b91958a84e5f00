"""One export of those that a bundle holds side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE, Contract, read_contract
from dermpack.errors import InputError
from dermpack.imaging import Policy
from dermpack.inference import MAX_SIDE
from dermpack.inference.model_bytes import read_model
from dermpack.storage.files import is_there, sha256_of

MODEL_FILE = "model.tflite"
AGAIN = "Convert the run again."
GIVE_EXPORT = 'Give a folder that "dermpack convert" made.'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A model and its contract; the name is its recipe's: int8, float16."""

    where: Path
    model: bytes
    contract: Contract
    contract_bytes: bytes

    @property
    def name(self) -> str:
        return self.contract.recipe.name

    @property
    def policy(self) -> Policy:
        return Policy(self.contract.input.policy)


def read_variants(folder: Path, wanted: Sequence[str] = ()) -> tuple[Variant, ...]:
    """The export that the folder is, or the exports in it that are named; the first is the main one."""
    if (folder / CONTRACT_FILE).is_file():
        if wanted:
            what = "a single export, not a folder of exports"
            raise InputError(folder, what, "Omit --variant.", code="option-not-applicable")
        return (_read(folder),)
    there = _names(folder)
    if not there:
        raise InputError(folder, "contains no export", GIVE_EXPORT, code="model-not-found")
    if not wanted and len(there) != 1:
        what = f"not an export, but a folder of several: {', '.join(there)}"
        raise InputError(folder, what, "Name one or more of them with --variant.", code="missing-option")
    variants = tuple(_read(folder / name) for name in _checked(folder, wanted or there, there))
    _check_together(variants)
    return variants


def _names(folder: Path) -> list[str]:
    if not is_there(folder):
        raise InputError(folder, "the folder does not exist", GIVE_EXPORT, code="model-not-found")
    if not folder.is_dir():
        raise InputError(folder, "not a directory", GIVE_EXPORT, code="not-a-directory")
    return sorted(inside.name for inside in folder.iterdir() if (inside / CONTRACT_FILE).is_file())


def _checked(folder: Path, wanted: Sequence[str], there: list[str]) -> Sequence[str]:
    unknown = [name for name in wanted if name not in there]
    if unknown or len(set(wanted)) < len(wanted):
        what = f"contains no export {unknown[0]!r}" if unknown else "--variant names the same export twice"
        hint = f"Name one or more of: {', '.join(there)}."
        raise InputError(folder, what, hint, code="invalid-option")
    return wanted


def _read(folder: Path) -> Variant:
    contract, model = read_contract(folder / CONTRACT_FILE), read_model(folder / MODEL_FILE)
    if sha256_of(model) != contract.sha256:
        what = f"not the file that {CONTRACT_FILE} describes (different sha256)"
        raise InputError(folder / MODEL_FILE, what, AGAIN, code="contract-mismatch")
    asked, recipe = contract.input, contract.recipe.name
    if not (recipe.isascii() and recipe.isalnum()):
        what = f"invalid format (recipe {recipe[:80]!r})"
        raise InputError(folder / CONTRACT_FILE, what, AGAIN, code="invalid-format")
    if (
        asked.width != asked.height
        or asked.width > MAX_SIDE
        or asked.policy not in {of.value for of in Policy}
    ):
        what = (
            f"no bundle can prepare its input ({asked.width}×{asked.height} px, policy {asked.policy[:80]!r})"
        )
        raise InputError(folder / CONTRACT_FILE, what, AGAIN, code="invalid-format")
    return Variant(
        where=folder, model=model, contract=contract, contract_bytes=(folder / CONTRACT_FILE).read_bytes()
    )


def _check_together(variants: Sequence[Variant]) -> None:
    """Variants of one model: the same labels, seen in the same way, under different names."""
    first = variants[0].contract
    for other in variants[1:]:
        mine, its = first.input, other.contract.input
        same = (first.labels, mine.width, mine.policy) == (other.contract.labels, its.width, its.policy)
        if not same:
            what = f"its labels or its input differ from those of {variants[0].where.name}"
            hint = "Bundle only variants of one model."
            raise InputError(other.where, what, hint, code="variants-mismatch")
    if len({of.name for of in variants}) < len(variants):
        what = "two variants have the same recipe"
        raise InputError(first.name, what, "Name only one of them with --variant.", code="variants-mismatch")
