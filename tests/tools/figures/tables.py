"""Make the tables of figures from the committed reports."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from tests.tools.conversion_table import markdown
from tests.tools.conversion_table import table as files_table
from tests.tools.figures import eczema
from tests.tools.figures.sources import HOUSE, one_of, report, spelled
from tests.tools.models_table import points, shares
from tests.tools.models_table import tables as models_tables

MODELS = (
    "For research and demonstration, **not for commercial use**: the models of lesions were trained on",
    "HAM10000 (CC BY-NC 4.0), `eczema` on a part of Fitzpatrick17k (CC BY-NC-SA 3.0).",
    "[models](models/README.md) describes the labels, the data and their limits, and how to make them again.",
)
RECIPES = ("default", "plain")
SEEDS = ("0", "1")
QUANTIZED = (("PTQ", "metadata-verify-0"), ("PTQ", "metadata-verify-1"), ("QAT", "metadata-verify-qat-1"))
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
TARGETS = ("host", "qemu:cortex-a72", "qemu:cortex-a76")


STEPS = {  # of trainer/studies/recipe-steps.toml, and what each changes
    "small": "MobileNetV2 0.35, 128 px, 16 epochs: compared with",
    "longer": "32 epochs",
    "larger-pictures": "192 px",
    "operations": "random colour operations",
    "mixup": "mixup",
    "cutmix": "CutMix",
    "smoothing": "label smoothing 0.1",
    "no-average": "no average of the weights (EMA)",
    "no-balance": "no balance of the classes",
    "large": "MobileNetV2 1.0, 160 px",
    "lite0": "EfficientNet-Lite0, 160 px: the default recipe",
    "thorough": "EfficientNet-Lite0, 184 px, 14 epochs",
}


def models() -> list[str]:
    """What can be embedded now: a section with the first table of models/README.md, if there is a model."""
    told = [line.replace("](", "](models/") for line in models_tables(HOUSE / "models")]
    table = list(takewhile(lambda line: line.startswith("|"), told))
    return ["## Models", "", *MODELS, "", *table, *told[len(table) :][:2]] if table else []


def recipes() -> list[str]:
    """What MobileNetV2 by the default recipe and by the usual one gave on two splits."""
    header = ("recipe", "split seed", "balanced accuracy (95 %)", "AUROC (95 %)", "accuracy", "minutes")
    return markdown([header, *(_recipe(name, seed) for name in RECIPES for seed in SEEDS)])


def _recipe(name: str, seed: str) -> tuple[str, ...]:
    of = f"lesions-{name}-{seed}"
    accuracy = spelled(f"{{{of}/accuracy|share}}")
    minutes = spelled(f"{{lesions-minutes/{name}/{seed}|whole}}")
    return (name, seed, _scored(of, "balanced_accuracy"), _scored(of, "auroc"), accuracy, minutes)


def _scored(of: str, metric: str, form: str = "share") -> str:
    low, high = f"{of}/{metric}_ci95/0", f"{of}/{metric}_ci95/1"
    return spelled(f"{{{of}/{metric}|{form}}} ({{{low}|{form}}} to {{{high}|{form}}})")


def files() -> list[str]:
    """What each kind of file gave: accuracy, size, speed."""
    seconds = {
        "measured": report("files-conversion")["seconds"],
        "trained": report("files-conversion-qat")["seconds"],
    }
    return files_table(report("files-benchmark"), seconds)


def study() -> list[str]:
    """Five recipes on few pictures."""
    of = report("study-five")
    header = (
        "recipe",
        "balanced accuracy, test (95 %)",
        "AUROC (95 %)",
        "points against the first (95 %)",
        "parameters",
        "training, s",
    )
    return markdown([header, *(_studied(of, name) for name in of["order"])])


def _studied(of: dict[str, Any], name: str) -> tuple[str, ...]:
    scores = f"study-five/recipes/{name}/tests/0/scores"
    title = f"{name}, best on validation" if name == of["best"] else name
    figures = [_scored(scores, metric, "share2") for metric in ("balanced_accuracy", "auroc")]
    parameters = spelled(f"{{study-five/recipes/{name}/parameters|count}}")
    seconds = spelled(f"{{study-five/recipes/{name}/training_seconds|whole}}")
    return (title, *figures, _against(of["recipes"][name]), parameters, seconds)


def _against(recipe: dict[str, Any]) -> str:
    versus = recipe["tests"][0].get("versus_base")
    return _drop(versus["differences"]) if versus else "–"


def arm() -> list[str]:
    """One report's three files on this host and on two emulated processors, by each runtime."""
    of = report("arm-benchmark")
    settings = ("file", "runtime", "host, ms", "A72, M instructions", "A76, M instructions")
    header = (*settings, "balanced accuracy on ARM (95 %)", "points against float32 (95 %)")
    names = [model["name"] for model in of["models"]]
    return markdown([header, *(_emulated(of, name, runtime) for runtime in RUNTIMES for name in names)])


def _emulated(of: dict[str, Any], model: str, runtime: str) -> tuple[str, ...]:
    asked = {"model": model, "runtime": runtime, "kernels": "xnnpack", "threads": 1}
    here, *there = (one_of(of["results"], {**asked, "target": target}) for target in TARGETS)
    counts = [f"{result['instructions_per_inference'] / 1e6:.1f}" for result in there]
    setting = {name: value for name, value in asked.items() if name != "model"} | {"target": TARGETS[1]}
    score = _of_setting(of["answers"], model, setting)["balanced_accuracy"]
    low, high = score["ci95"]
    share = f"{score['value']:.3f} ({low:.3f} to {high:.3f})"
    change = "–" if model == of["models"][0]["name"] else _drop(_of_setting(of["drops"], model, setting))
    return (model, runtime, f"{here['median_ms']:.2f}", *counts, share, change)


def _drop(told: dict[str, Any]) -> str:
    change = told["balanced_accuracy"]
    return points(change["difference"], change["ci95"])


def _of_setting(parts: list[dict[str, Any]], model: str, setting: dict[str, Any]) -> dict[str, Any]:
    (found,) = (part for part in parts if part["model"] == model and setting in part["where"])
    return found


def metadata() -> list[str]:
    """What metadata added on two splits: each way to answer, and the paired gain of both inputs."""
    header = ("split seed", "answer from", "balanced accuracy (95 %)", "gain, points (95 %)", "AUROC (95 %)")
    return markdown([header, *(_answered(seed, row) for seed in SEEDS for row in _study(seed)["rows"])])


def _study(seed: str) -> dict[str, Any]:
    found: dict[str, Any] = report(f"metadata-float-{seed}")["metadata"]
    return found


def _answered(seed: str, row: dict[str, Any]) -> tuple[str, ...]:
    gain = row["gains"]["balanced_accuracy"]
    is_itself = row["name"] == "picture and metadata"
    name = f"{row['name']}, a model trained on it alone" if row["model"] else row["name"]
    figures = [
        f"{figure['value']:.3f} ({figure['ci95'][0]:.3f} to {figure['ci95'][1]:.3f})"
        for figure in (row["figures"][metric] for metric in ("balanced_accuracy", "auroc"))
    ]
    return (
        seed,
        name,
        figures[0],
        "–" if is_itself else points(gain["difference"], gain["ci95"]),
        figures[1],
    )


def metadata_columns() -> list[str]:
    """How much balanced accuracy each model lost where the values of a column were shuffled, in points."""
    names = [loss["column"] for loss in _study(SEEDS[0])["columns"]]
    rows = [
        (
            seed,
            *(
                f"{100 * loss['mean']:.1f} ± {100 * loss['deviation']:.1f}"
                for loss in _study(seed)["columns"]
            ),
        )
        for seed in SEEDS
    ]
    return markdown([("split seed", *names), *rows])


def metadata_int8() -> list[str]:
    """The int8 files against their float networks on the same test pictures, paired."""
    header = ("split seed", "method", "float", "int8 (95 %)", "points (95 %)", "same label")
    return markdown([header, *(_quantized(name, method) for method, name in QUANTIZED)])


def _quantized(name: str, method: str) -> tuple[str, ...]:
    of, seed = report(name), name[-1]
    checks = {check["proof"]: check["figures"] for check in of["exports"][0]["proofs"]}
    score, labels = checks["balanced_accuracy on test"], checks["labels on test"]
    ends = score["difference_ci95_low"], score["difference_ci95_high"]
    change = points(score["difference"], ends)
    value = f"{score['value']:.3f} ({score['ci95_low']:.3f} to {score['ci95_high']:.3f})"
    return (seed, method, f"{score['of_float']:.3f}", value, change, f"{labels['agreement']:.1%}")


def steps() -> list[str]:
    """What each step of a recipe gives on a validation split."""
    of = report("recipe-effects")["recipes"]
    header = (
        *("recipe", "balanced accuracy", "change, points (95 %)", "AUROC", "change (95 %)"),
        "minutes on one thread",
    )
    return markdown([header, *(_step(title, of[name]) for name, title in STEPS.items() if name in of)])


def _step(title: str, of: dict[str, Any]) -> tuple[str, ...]:
    cells = []
    for metric, spell in (("balanced_accuracy", points), ("auroc", shares)):
        change = of["minus_base"][metric]
        is_base = change["difference"] == 0
        cells += [f"{of[metric]:.3f}", "–" if is_base else spell(change["difference"], change["ci95"])]
    return (title, *cells, f"{of['seconds'] / 60:.0f}")


def references() -> list[str]:
    """The tables of models/README.md."""
    return models_tables(HOUSE / "models")


TABLES: dict[str, Callable[[], list[str]]] = {
    "models": models,
    "references": references,
    "steps": steps,
    "recipes": recipes,
    "files": files,
    "arm": arm,
    "study": study,
    "metadata": metadata,
    "metadata_columns": metadata_columns,
    "metadata_int8": metadata_int8,
    "eczema_tasks": eczema.tasks,
    "eczema_top": eczema.top,
    "eczema_sensitivity": eczema.sensitivity,
    "eczema_slices": eczema.slices,
    "eczema_dark_skin": eczema.dark_skin,
    "eczema_published": eczema.published,
    "eczema_curve": eczema.curve,
    "eczema_border": eczema.border,
    "eczema_marks": eczema.marks,
    "eczema_planted": eczema.planted,
}
