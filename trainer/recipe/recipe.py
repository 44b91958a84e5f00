"""Everything that decides a training, decoded once; a TOML file and the command line say it alike."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.errors import TableError
from dermpack.storage.files import is_there, sha256_file
from dermpack.storage.toml_reader import read_toml
from trainer.data.class_balance import Balance
from trainer.fitting.plan import Goal, Schedule
from trainer.recipe.augmentation import NAMED, Augmentation, augmentation_from
from trainer.recipe.network_spec import ALPHAS, PLAIN_FILTERS, PLAIN_KERNEL, Arch, Head, NetworkSpec, Weights
from trainer.recipe.option_values import HINT, Decoder, WrongError, number, whole, wholes, word

COMMAND_LINE = "command line"
ALL, NO_TEACHER = "all", "none"
RUN_FILE, WEIGHTS_FILE = "training.json", "weights.npz"  # of a run folder
MOST_NAMED = 3  # files, in a message
PATHS = ("weights", "teacher", "augment")  # options that may name a file or a folder


class Precision(Enum):
    """What the network computes in; its weights are float32 always."""

    FLOAT32 = "none"
    BFLOAT16 = "bfloat16"  # faster where the processor has it, slower elsewhere


class DistributionStrategy(Enum):
    """Where a step is computed; the batch is shared, so the figures are the same but for rounding."""

    SINGLE = "single"
    MIRRORED = "mirrored"  # on every device of this machine that is visible
    MULTIWORKER = "multiworker"  # by processes that TF_CONFIG names, on one host or on several


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The defaults were chosen by measuring on HAM10000."""

    arch: Arch = Arch.MOBILENET_V2
    alpha: float = 1.0
    size: int = 160
    weights: Weights | Path = Weights.IMAGENET  # a file of a backbone, or a run folder, head and all
    teacher: Path | None = None  # a run folder
    teacher_share: float = 0.7  # of each target; the label has the rest
    head: Head = Head.SOFTMAX
    dense: tuple[int, ...] = ()
    dropout: float = 0.2
    filters: tuple[int, ...] = PLAIN_FILTERS
    kernel: int = PLAIN_KERNEL
    fine_tune: int | None = None  # layers of the backbone, from the top; None: all of them
    copies: int = 0  # of changed activations at the boundary; 0: fresh pictures in every epoch
    head_copies: int = 1  # of changed features that the head learns from
    head_epochs: int = 8
    head_rate: float = 1e-3
    epochs: int = 16
    batch: int = 16
    rate: float = 1e-4
    schedule: Schedule = Schedule.COSINE
    warm_up: float = 0.25  # epochs
    augment: Augmentation = NAMED["strong"]
    balance: Balance = Balance.PRIOR
    balance_power: float = 1.0
    label_smoothing: float = 0.0
    ema: float = 0.99
    patience: int = 0
    metric: Goal = Goal.BALANCED_ACCURACY
    mixed_precision: Precision = Precision.FLOAT32
    seed: int = 0
    strategy: DistributionStrategy = DistributionStrategy.SINGLE
    threads: int = 0  # 0: as many as there are processors
    time_limit: float = 0.0  # minutes; 0: none
    sensitivity: tuple[tuple[str, float], ...] = ()  # (label, wanted sensitivity)

    def spec(self, *, classes: int) -> NetworkSpec:
        """The network that is asked for."""
        return NetworkSpec(
            arch=self.arch,
            alpha=self.alpha,
            size=self.size,
            classes=classes,
            head=self.head,
            dense=self.dense,
            dropout=self.dropout,
            filters=self.filters,
            kernel=self.kernel,
        )

    def record(self) -> dict[str, Any]:
        """As JSON; files and runs by their hash, and nothing that only says how long or how wide to work."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(value) for name, value in named.items() if name not in OF_THE_MACHINE}


RATE_FROM_NOTHING = 1e-3  # there is nothing yet that a large step could spoil
OF_THE_MACHINE = ("strategy", "threads", "time_limit")


def recipe_from(values: Mapping[str, Any], *, where: object, base: Recipe | None = None) -> Recipe:
    """Decode options by their names onto the base; an unknown name is an error that tells the nearest."""
    decoded = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in DECODERS:
            near = difflib.get_close_matches(name, DECODERS, n=1, cutoff=0.0)
            hint = f"Check the spelling; the nearest option is {near[0]!r}."
            raise TableError(where, f"unknown option {key!r}", hint, code="invalid-option")
        try:
            decoded[name] = DECODERS[name](value)
        except (ValueError, TypeError, AttributeError, OSError) as error:  # OSError: a name that is too long
            raise _wrong(where, name, value, error) from error
    if decoded.get("arch") is Arch.SCRATCH_CNN:
        decoded.setdefault("weights", Weights.NONE)  # nobody published any
    if decoded.get("weights") is Weights.NONE:
        decoded.setdefault("rate", RATE_FROM_NOTHING)
    return replace(base or Recipe(), **decoded)


def read_recipe(path: Path) -> Recipe:
    """A TOML file with options as keys; paths in it are relative to the file."""
    values = dict(read_toml(path))
    return recipe_from(beside(path, values), where=path)


def beside(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a file, their paths relative to it as paths from here; words stay words."""
    return {name: _from_here(path, name, value) for name, value in values.items()}


def _from_here(path: Path, name: str, value: Any) -> Any:
    if name not in PATHS or not isinstance(value, str) or value in WORDS[name]:
        return value
    here = path.parent / value
    is_one = value.endswith((".h5", ".toml")) or "/" in value or is_there(here)
    return str(here) if is_one else value


def _wrong(where: object, name: str, value: Any, error: Exception) -> TableError:
    """Name the option as it was given: --arch vgg at the command line, arch = 'vgg' in a file."""
    what, hint = _reason(error), getattr(error, "hint", HINT)
    if hint == HINT and isinstance(usual := getattr(Recipe(), name), int | float) and usual:
        hint = f"Give a value such as {usual:g}."
    if where == COMMAND_LINE:
        given = ", ".join(value) if isinstance(value, tuple) else value
        return TableError(f"--{name.replace('_', '-')} {given}", what, hint, code="invalid-option")
    return TableError(where, f"{name} = {value!r}: {what}", hint, code="invalid-option")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, WrongError) else "not a valid value"


def _weights(value: Any) -> Weights | Path:
    words = {one.value: one for one in Weights}
    if value in words:
        return words[value]
    path = Path(value)
    if not is_there(path):
        raise WrongError(f"must be a file, a run folder, or one of {', '.join(words)}")
    if found := [] if (path / RUN_FILE).is_file() else sorted(of.name for of in path.glob("*.h5")):
        more = ", …" if len(found) > MOST_NAMED else ""
        hint = f"Give the one for your arch and alpha: {', '.join(found[:MOST_NAMED])}{more}."
        raise WrongError("a folder of .h5 files, not a run", hint)
    return path


def _teacher(value: Any) -> Path | None:
    if value == NO_TEACHER:
        return None
    path = Path(value)
    if not path.is_dir():
        raise WrongError(
            "must be a run folder, or none", 'Give a folder that "dermpack train" wrote, or none.'
        )
    return path


def _layers(value: Any) -> int | None:
    return None if value == ALL else int(whole(least=0)(value))


def _augmentation(value: Any) -> Augmentation:
    """A name, a file of exact values, or the values themselves."""
    if isinstance(value, Mapping):
        return augmentation_from(value, where="augment")
    if value in NAMED:
        return NAMED[value]
    path = Path(value)
    if not path.is_file():
        raise WrongError(f"must be a file, or one of {', '.join(NAMED)}")
    return augmentation_from(read_toml(path), where=path)


def _sensitivities(value: Any) -> tuple[tuple[str, float], ...]:
    """("mel=0.95",) at the command line, {mel = 0.95} in a file."""
    pairs = value.items() if isinstance(value, Mapping) else map(_pair, value)
    read = tuple((str(label), float(number(least=0, most=1)(wanted))) for label, wanted in pairs)
    if not all(label and wanted > 0 for label, wanted in read):
        raise WrongError("must be LABEL=SHARE, such as mel=0.95")
    return read


def _pair(item: str) -> tuple[str, str]:
    label, equals, share = item.rpartition("=")
    if not equals:
        raise WrongError("must be LABEL=SHARE, such as mel=0.95")
    return label, share


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case Path():
            return {"sha256": sha256_file(value / WEIGHTS_FILE if value.is_dir() else value)}
        case Augmentation():
            return value.record()
        case tuple():
            return [_plain(item) for item in value]
    return value


SHARE = number(least=0, most=0.999999)
DECODERS: Mapping[str, Decoder] = {
    "arch": word(Arch),
    "alpha": number(least=0, most=2),
    "size": whole(least=1),
    "weights": _weights,
    "teacher": _teacher,
    "teacher_share": number(least=0, most=1),
    "head": word(Head),
    "dense": wholes,
    "dropout": SHARE,
    "filters": wholes,
    "kernel": whole(least=1),
    "fine_tune": _layers,
    "copies": whole(least=0, most=64),
    "head_copies": whole(least=1, most=64),
    "head_epochs": whole(least=0),
    "head_rate": number(least=1e-9, most=10),
    "epochs": whole(least=0),
    "batch": whole(least=1, most=4096),
    "rate": number(least=1e-9, most=10),
    "schedule": word(Schedule),
    "warm_up": number(least=0, most=1000),
    "augment": _augmentation,
    "balance": word(Balance),
    "balance_power": number(least=0, most=2),
    "label_smoothing": SHARE,
    "ema": SHARE,
    "patience": whole(least=0),
    "metric": word(Goal),
    "mixed_precision": word(Precision),
    "seed": whole(least=0),
    "strategy": word(DistributionStrategy),
    "threads": whole(least=0, most=1024),
    "time_limit": number(least=0, most=1e6),
    "sensitivity": _sensitivities,
}
WORDS: Mapping[str, tuple[str, ...]] = {  # what a shell can offer; a file is as good for some of them
    "arch": tuple(one.value for one in Arch),
    "alpha": tuple(map(str, ALPHAS)),
    "weights": tuple(one.value for one in Weights),
    "teacher": (NO_TEACHER,),
    "head": tuple(one.value for one in Head),
    "fine_tune": (ALL,),
    "schedule": tuple(one.value for one in Schedule),
    "augment": tuple(NAMED),
    "balance": tuple(one.value for one in Balance),
    "metric": tuple(one.value for one in Goal),
    "mixed_precision": tuple(one.value for one in Precision),
    "strategy": tuple(one.value for one in DistributionStrategy),
}
