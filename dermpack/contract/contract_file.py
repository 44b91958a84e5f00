"""The contract as a file: model.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dermpack.contract.contract import SCHEMA, Contract
from dermpack.errors import TableError
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import json_text, read_json

CONTRACT_FILE = "model.json"
AGAIN = "Convert the run again."


def contract_text(contract: Contract) -> str:
    return json_text(contract_record(contract))


def contract_record(contract: Contract) -> dict[str, Any]:
    """The JSON object that stands in the file."""
    record = encode(contract)
    assert isinstance(record, dict)
    return record


def read_contract(path: Path) -> Contract:
    """Read model.json, hostile until checked."""
    return contract_from(read_json(path), where=path)


def contract_from(record: dict[str, Any], *, where: object) -> Contract:
    """The contract that a JSON object holds; an error names the key."""
    if record.get("schema") != SCHEMA:
        what = f"not a contract with schema {SCHEMA}"
        raise TableError(where, what, AGAIN, code="unsupported-schema")
    try:
        return decode(Contract, record)
    except ValueError as error:
        raise TableError(where, f"invalid contract ({error})", AGAIN, code="invalid-contract") from error
