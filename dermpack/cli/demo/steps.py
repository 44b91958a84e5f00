"""The steps of the demo: what a person would type, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dermpack.errors import EXTRA_OF_MODULE, MissingExtraError

EXTRAS = ("data", "train")
INTERPRETERS = ("ai_edge_litert", "tflite_runtime")  # one is enough
ONLY_OLD_PYTHONS = "tomli"
ANSWERS_FILE = "answers.csv"
TABLES = {"evaluate": "predictions.csv", "predict": ANSWERS_FILE}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the commands are given beside their folders; a test gives them less to do."""

    pictures: tuple[str, ...] = ()
    training: tuple[str, ...] = (
        *("--size", "96", "--alpha", "0.35", "--weights", "none"),
        *("--epochs", "40", "--batch", "32", "--augment", "light"),
    )
    conversion: tuple[str, ...] = ("--max-drop", "3")  # on 155 pictures less cannot be told from chance
    timing: tuple[str, ...] = ("--threads", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStep:
    """One command; what it makes appears whole or not at all, and None is a proof, which is always run."""

    name: str
    title: str
    arguments: tuple[str, ...]
    makes: Path | None
    table: Path | None = None  # written beside


def check_installed() -> None:
    """Name in one line, before any work, all extras that are missing."""
    modules = [of for of, extra in EXTRA_OF_MODULE.items() if extra in EXTRAS and of != ONLY_OLD_PYTHONS]
    missing = [of for of in modules if find_spec(of) is None]
    if not any(map(find_spec, INTERPRETERS)):
        missing.append(INTERPRETERS[0])
    if missing:
        extras = {EXTRA_OF_MODULE[of] for of in missing}
        wanted = extras - {"data"} if "train" in extras else extras  # train holds data
        raise MissingExtraError(missing[0], ",".join(sorted(wanted)))


def steps_in(folder: Path, options: DemoOptions, *, quiet: bool) -> tuple[DemoStep, ...]:
    """All steps, with their folders in `folder`."""
    silence = ("--quiet",) if quiet else ()
    return tuple(
        DemoStep(
            name=name,
            title=title,
            arguments=(*arguments, *silence),
            makes=folder / made if made else None,
            table=folder / TABLES[name] if name in TABLES else None,
        )
        for name, title, made, arguments in _lines(folder, options)
    )


def _lines(folder: Path, options: DemoOptions) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Name, title, what is made, and the command."""

    def of(name: str) -> str:
        return str(folder / name)

    pictures, dataset, run, export = of("pictures"), of("dataset"), of("run"), of("export")
    first = of("pictures/pictures/demo_00000.jpg")
    render = ("data", "demo", "-o", pictures, *options.pictures)
    yield "pictures", "Rendering pictures", "pictures", render
    yield "import", "Importing them", "dataset", ("data", "import", pictures, "-o", dataset)
    yield "check", "Checking the dataset", "", ("data", "check", dataset)
    yield "report", "Drawing a page to look at", "report", ("data", "report", dataset, "-o", of("report"))
    yield "train", "Training a network", "run", ("train", dataset, "-o", run, *options.training)
    scored = ("-o", of("evaluation"), "--predictions", of(TABLES["evaluate"]))
    yield "evaluate", "Scoring it on the test split", "evaluation", ("evaluate", run, dataset, *scored)
    yield (
        "convert",
        "Converting it to integers",
        "export",
        ("convert", run, "-o", export, *options.conversion),
    )
    yield "verify", "Proving the file again", "", ("verify", export, dataset)
    measured = ("--data", dataset, *options.timing, "-o", of("benchmark"))
    yield "benchmark", "Measuring its speed here", "benchmark", ("benchmark", export, *measured)
    bundle = ("package", export, "-o", of("skin.zip"), "--name", "skin")
    yield "package", "Packing it for an Android app", "skin.zip", bundle
    yield "predict", "Asking it about a picture", "", ("predict", export, first, "--csv", of(ANSWERS_FILE))
