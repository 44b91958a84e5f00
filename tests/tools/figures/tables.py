"""Make the tables of figures from the committed reports."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from tests.support.paths import REPOSITORY
from tests.tools.conversion_table import markdown
from tests.tools.conversion_table import table as files_table
from tests.tools.figures import eczema
from tests.tools.figures.sources import fill_in, find_part, report
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


STEPS = {  # a recipe of trainer/studies/recipe-steps.toml, a teacher or an average → what it changes
    "small": "MobileNetV2 0.35, 128 px, 16 epochs: compared with",
    "longer": "32 epochs",
    "larger-pictures": "192 px",
    "together": "32 epochs and 192 px",
    "operations": "random colour operations",
    "mixup": "mixup",
    "cutmix": "CutMix",
    "smoothing": "label smoothing 0.1",
    "no-average": "no average of the weights (EMA)",
    "no-balance": "no balance of the classes",
    "further": "the first row, trained 6 epochs further at a third of the rate",
    "further-2": "the same with another seed",
    "averaged": "the average of these two runs",
    "teachers": "taught by the next two networks",
    "large": "MobileNetV2 1.0, 160 px",
    "lite0": "EfficientNet-Lite0, 160 px: the default recipe",
    "lite1": "EfficientNet-Lite1, 160 px",
    "lite2": "EfficientNet-Lite2, 160 px",
}


def models() -> list[str]:
    """Return a section with the first table of models/README.md, or nothing if there is no model."""
    lines = [line.replace("](", "](models/") for line in models_tables(REPOSITORY / "models")]
    table = list(takewhile(lambda line: line.startswith("|"), lines))
    return ["## Models", "", *MODELS, "", *table, *lines[len(table) :][:2]] if table else []


def recipes() -> list[str]:
    """Return the scores of MobileNetV2 by the default recipe and by the plain one, on two splits."""
    header = ("recipe", "split seed", "balanced accuracy (95 %)", "AUROC (95 %)", "accuracy", "minutes")
    return markdown([header, *(_recipe(name, seed) for name in RECIPES for seed in SEEDS)])


def _recipe(name: str, seed: str) -> tuple[str, ...]:
    path = f"lesions-{name}-{seed}"
    accuracy = fill_in(f"{{{path}/accuracy|share}}")
    minutes = fill_in(f"{{lesions-minutes/{name}/{seed}|whole}}")
    return (name, seed, _scored(path, "balanced_accuracy"), _scored(path, "auroc"), accuracy, minutes)


def _scored(path: str, metric: str, form: str = "share") -> str:
    """Return a figure with its interval: 0.715 (0.640 to 0.781)."""
    low, high = f"{path}/{metric}_ci95/0", f"{path}/{metric}_ci95/1"
    return fill_in(f"{{{path}/{metric}|{form}}} ({{{low}|{form}}} to {{{high}|{form}}})")


def files() -> list[str]:
    """Return the accuracy, the size and the speed of each kind of file."""
    seconds = {
        "measured": report("files-conversion")["seconds"],
        "trained": report("files-conversion-qat")["seconds"],
    }
    return files_table(report("files-benchmark"), seconds)


def study() -> list[str]:
    """Return the scores of five recipes on few pictures."""
    record = report("study-five")
    header = (
        "recipe",
        "balanced accuracy, test (95 %)",
        "AUROC (95 %)",
        "points against the first (95 %)",
        "parameters",
        "training, s",
    )
    return markdown([header, *(_studied(record, name) for name in record["order"])])


def _studied(record: dict[str, Any], name: str) -> tuple[str, ...]:
    scores = f"study-five/recipes/{name}/tests/0/scores"
    title = f"{name}, best on validation" if name == record["best"] else name
    figures = [_scored(scores, metric, "share2") for metric in ("balanced_accuracy", "auroc")]
    parameters = fill_in(f"{{study-five/recipes/{name}/parameters|count}}")
    seconds = fill_in(f"{{study-five/recipes/{name}/training_seconds|whole}}")
    return (title, *figures, _against(record["recipes"][name]), parameters, seconds)


def _against(recipe: dict[str, Any]) -> str:
    versus = recipe["tests"][0].get("versus_base")
    return _drop(versus["differences"]) if versus else "–"


def arm() -> list[str]:
    """Return the cost of three files on this host and on two emulated processors, by runtime."""
    record = report("arm-benchmark")
    settings = ("file", "runtime", "host, ms", "A72, M instructions", "A76, M instructions")
    header = (*settings, "balanced accuracy on ARM (95 %)", "points against float32 (95 %)")
    names = [model["name"] for model in record["models"]]
    rows = [_emulated(record, name, runtime) for runtime in RUNTIMES for name in names]
    return markdown([header, *rows])


def _emulated(record: dict[str, Any], model: str, runtime: str) -> tuple[str, ...]:
    setting = {"runtime": runtime, "kernels": "xnnpack", "threads": 1}
    host, *emulated = (
        find_part(record["results"], {**setting, "model": model, "target": target}) for target in TARGETS
    )
    counts = [f"{result['instructions_per_inference'] / 1e6:.1f}" for result in emulated]
    setting_on_arm = {**setting, "target": TARGETS[1]}
    score = _of_setting(record["answers"], model, setting_on_arm)["balanced_accuracy"]
    low, high = score["ci95"]
    share = f"{score['value']:.3f} ({low:.3f} to {high:.3f})"
    is_first = model == record["models"][0]["name"]
    change = "–" if is_first else _drop(_of_setting(record["drops"], model, setting_on_arm))
    return (model, runtime, f"{host['median_ms']:.2f}", *counts, share, change)


def _drop(differences: dict[str, Any]) -> str:
    change = differences["balanced_accuracy"]
    return points(change["difference"], change["ci95"])


def _of_setting(parts: list[dict[str, Any]], model: str, setting: dict[str, Any]) -> dict[str, Any]:
    """Return the part about a model whose places include this setting."""
    (found,) = (part for part in parts if part["model"] == model and setting in part["where"])
    return found


def metadata() -> list[str]:
    """Return what metadata added on two splits: the scores of each input, and the paired gain of both."""
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
    """Return the balanced accuracy, in points, that each model loses when a column is shuffled."""
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
    """Return the scores of the int8 files and of their float networks on the same test pictures."""
    header = ("split seed", "method", "float", "int8 (95 %)", "points (95 %)", "same label")
    return markdown([header, *(_quantized(name, method) for method, name in QUANTIZED)])


def _quantized(name: str, method: str) -> tuple[str, ...]:
    seed = name[-1]
    checks = {check["proof"]: check["figures"] for check in report(name)["exports"][0]["proofs"]}
    score, labels = checks["balanced_accuracy on test"], checks["labels on test"]
    ends = score["difference_ci95_low"], score["difference_ci95_high"]
    change = points(score["difference"], ends)
    value = f"{score['value']:.3f} ({score['ci95_low']:.3f} to {score['ci95_high']:.3f})"
    return (seed, method, f"{score['of_float']:.3f}", value, change, f"{labels['agreement']:.1%}")


def steps() -> list[str]:
    """Return what each change of a recipe gives on a validation split."""
    recipes_by_name = report("recipe-effects")["recipes"]
    header = (
        *("recipe", "balanced accuracy", "change, points (95 %)", "AUROC", "change (95 %)"),
        "minutes on one thread",
    )
    rows = [_step(title, recipes_by_name[name]) for name, title in STEPS.items() if name in recipes_by_name]
    return markdown([header, *rows])


def _step(title: str, recipe: dict[str, Any]) -> tuple[str, ...]:
    cells = []
    for metric, format_change in (("balanced_accuracy", points), ("auroc", shares)):
        change = recipe["minus_base"][metric]
        is_base = change["difference"] == 0
        text = "–" if is_base else format_change(change["difference"], change["ci95"])
        cells += [f"{recipe[metric]:.3f}", text]
    minutes = recipe["seconds"] / 60
    return (title, *cells, f"{minutes:.0f}" if minutes >= 1 else "under 1")


def references() -> list[str]:
    """Return the tables of models/README.md."""
    return models_tables(REPOSITORY / "models")


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
    "eczema_reference": eczema.reference,
    "eczema_curve": eczema.curve,
    "eczema_border": eczema.border,
    "eczema_marks": eczema.marks,
    "eczema_planted": eczema.planted,
}
