"""One export of those that a bundle holds side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE, Contract, read_contract
from dermpack.errors import InputError
from dermpack.files import is_there, sha256_of
from dermpack.pixels import Policy
from dermpack.runtime import MAX_SIDE
from dermpack.runtime.modelfile import read_model

MODEL_FILE = "model.tflite"
AGAIN = "convert the run again"


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
            raise InputError(folder, "is one export", "give a folder of exports with --variant")
        return (_read(folder),)
    there = _names(folder)
    if not there:
        raise InputError(folder, "holds no export", "give a folder that dermpack convert made")
    if not wanted and len(there) != 1:
        what = f"is no export; exports in it: {', '.join(there)}"
        raise InputError(folder, what, "name one or several with --variant")
    variants = tuple(_read(folder / name) for name in _checked(folder, wanted or there, there))
    _check_together(variants)
    return variants


def _names(folder: Path) -> list[str]:
    if not is_there(folder):
        raise InputError(folder, "does not exist", "give an export folder")
    if not folder.is_dir():
        raise InputError(folder, "is no folder", "give an export folder")
    return sorted(inside.name for inside in folder.iterdir() if (inside / CONTRACT_FILE).is_file())


def _checked(folder: Path, wanted: Sequence[str], there: list[str]) -> Sequence[str]:
    unknown = [name for name in wanted if name not in there]
    if unknown or len(set(wanted)) < len(wanted):
        what = f"holds no export {unknown[0]}" if unknown else "is asked for one export twice"
        raise InputError(folder, what, f"name one or several of: {', '.join(there)}")
    return wanted


def _read(folder: Path) -> Variant:
    contract, model = read_contract(folder / CONTRACT_FILE), read_model(folder / MODEL_FILE)
    if sha256_of(model) != contract.sha256:
        raise InputError(folder / MODEL_FILE, "is not the file that model.json speaks of", AGAIN)
    asked, recipe = contract.input, contract.recipe.name
    if not (recipe.isascii() and recipe.isalnum()):
        what = f"is not as dermpack writes it (recipe {recipe[:80]!r})"
        raise InputError(folder / CONTRACT_FILE, what, AGAIN)
    if (
        asked.width != asked.height
        or asked.width > MAX_SIDE
        or asked.policy not in {of.value for of in Policy}
    ):
        raise InputError(folder / CONTRACT_FILE, "asks for pictures that no module prepares", AGAIN)
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
            what = f"has other labels or another input than {variants[0].where.name}"
            raise InputError(other.where, what, "bundle variants of one model")
    if len({of.name for of in variants}) < len(variants):
        raise InputError(first.name, "has two variants of one recipe", "name one of them")
