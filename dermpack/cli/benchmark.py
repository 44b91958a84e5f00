"""dermpack benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import FailedWithResultError, note, output_options, result, table, track

if TYPE_CHECKING:
    from benchmarks.protocol.plan import BenchmarkPlan, Timing

PATH = click.Path(path_type=Path)
SPLITS = ("train", "validation", "test")
RUNTIMES, KERNELS = ("ai-edge-litert", "tflite-runtime"), ("xnnpack", "none")
MOST_THREADS, MOST_PERCENT = 64, 1000
RESEARCH_ONLY = "research software, not a medical device: no figure here is a diagnosis"


def _threads(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """1,2,4 → (1, 2, 4)."""
    parts = value.split(",")
    counts = [int(part) for part in parts if part.strip().isdecimal()]
    if len(counts) != len(parts) or not all(1 <= of <= MOST_THREADS for of in counts):
        raise click.BadParameter(f"{value!r} is not a list of counts from 1 to {MOST_THREADS}, like 1,2,4")
    return tuple(dict.fromkeys(counts))


def _share(_: click.Context, __: click.Parameter, value: str) -> float:
    """5% → 0.05; so does 5."""
    try:
        percent = float(value.removesuffix("%"))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a percentage, like 5%") from error
    if not 0 <= percent <= MOST_PERCENT:
        raise click.BadParameter(f"{value!r} is not between 0% and {MOST_PERCENT}%")
    return percent / 100


@click.command("benchmark", short_help="Measure how fast .tflite files are, and what each one loses.")
@click.argument("models", type=PATH, nargs=-1, metavar="[MODEL.tflite|EXPORT]...")
@click.option("-o", "--output", metavar="REPORT", type=PATH, help="A new folder.")
@click.option("--data", "dataset", metavar="DATASET", type=PATH, help="Compare what the models answer on it.")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True)
@click.option("--pictures", type=click.IntRange(1), metavar="N", help="So many of the split.  [default: all]")
@click.option(
    "--on",
    "places",
    multiple=True,
    metavar="TARGET",
    default=("host",),
    show_default=True,
    help="host, ssh:user@host[:port], adb[:SERIAL], qemu:cortex-a72 or qemu:cortex-a76; may be repeated.",
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(RUNTIMES),
    help="May be repeated.  [default: all installed]",
)
@click.option(
    "--kernels",
    multiple=True,
    type=click.Choice(KERNELS),
    default=KERNELS,
    show_default=True,
    help="The runtime's default, XNNPACK for what it takes; or nothing of XNNPACK.",
)
@click.option("--threads", callback=_threads, default="1,2,4", show_default=True, metavar="N,…")
@click.option("--rounds", type=click.IntRange(5, 1_000_000), help="At least, a model.  [default: 50]")
@click.option("--seconds", type=click.FloatRange(0, 3600), help="At least, a model.  [default: 1]")
@click.option("--mlperf", is_flag=True, help="1,024 rounds and 60 seconds a model, for the 90th percentile.")
@click.option("--python", default="python3", show_default=True, metavar="PATH", help="On the ssh machine.")
@click.option("--identity", type=PATH, metavar="FILE", help="A private key for the ssh machine.")
@click.option(
    "--benchmark-model", type=PATH, metavar="PATH", help="TensorFlow's tool, built for the phones of adb."
)
@click.option("--labels", "labels_file", type=PATH, metavar="FILE", help="Of models without a contract.")
@click.option("--no-pictures", is_flag=True, help="No picture of the dataset in the report.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the intervals.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@click.option(
    "--compare",
    nargs=2,
    type=PATH,
    metavar="OLD.json NEW.json",
    help="Measure nothing; say what changed between two reports, exit code 1 on a regression.",
)
@click.option("--max-slowdown", callback=_share, default="5%", show_default=True, metavar="PERCENT")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    default=0.5,
    show_default=True,
    metavar="POINTS",
    help="Of balanced accuracy; both limits belong to --compare.",
)
@output_options
def command(
    models: tuple[Path, ...],
    output: Path | None,
    compare: tuple[Path, Path] | None,
    max_slowdown: float,
    max_drop: float,
    no_pictures: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    places: tuple[str, ...],
    python: str,
    identity: Path | None,
    benchmark_model: Path | None,
    **asked: Any,
) -> None:
    """Measure MODELs in turns, the first of them the one that others are held against.

    Real places tell milliseconds, with intervals; an emulated processor tells answers and instructions,
    never times. With --data every model answers the same pictures in every place. REPORT holds
    report.json, report.html and report.md.

    \b
    Examples:
      dermpack benchmark export -o report --data dataset
      dermpack benchmark exports/float32 exports/int8 -o report --on ssh:pi@raspberrypi --threads 1,4
      dermpack benchmark --compare old/report.json new/report.json --max-slowdown 10%
    """
    if compare is not None:
        _compare(compare, max_slowdown=max_slowdown, max_drop=max_drop, as_json=as_json, quiet=quiet)
        return
    if not models or output is None:
        raise click.UsageError("give MODELs and -o REPORT, or --compare OLD.json NEW.json")
    from benchmarks.report.record_file import record_json
    from benchmarks.report.terminal import tables
    from benchmarks.report.write_report import PAGE_FILE, check_report, write_report
    from benchmarks.targets.measure import measure_all
    from benchmarks.targets.target_names import TargetOptions, targets_from

    check_report(output, overwrite=overwrite)
    means = TargetOptions(python=python, identity=identity, benchmark_model=benchmark_model)
    targets, plan = targets_from(places, means), _plan(models, **asked)
    visited = measure_all(targets, plan, track=track(quiet=quiet))
    record = write_report(visited.measured, plan, output, with_pictures=not no_pictures, overwrite=overwrite)
    for shown in tables(record):
        table(shown.caption, shown.header, shown.rows, quiet=quiet or as_json)
    note(RESEARCH_ONLY, quiet=quiet)
    result(record_json(record), str(output / PAGE_FILE), as_json=as_json)
    for failure in visited.failures[1:]:
        note(f"error[{failure.code}]: {failure}", quiet=False)
    if visited.failures:  # the report holds the other places
        raise FailedWithResultError(visited.failures[0])


def _plan(
    models: tuple[Path, ...],
    *,
    dataset: Path | None,
    split: str,
    pictures: int | None,
    runtimes: tuple[str, ...],
    kernels: tuple[str, ...],
    threads: tuple[int, ...],
    labels_file: Path | None,
    seed: int,
    **timing: Any,
) -> BenchmarkPlan:
    from benchmarks.models import read_models
    from benchmarks.picture_choice import choose
    from benchmarks.protocol.plan import BenchmarkPlan
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.inference import Kernels

    data = read_dataset(dataset) if dataset else None
    return BenchmarkPlan(
        models=read_models(models, labels=labels_file),
        scored=choose(data, Split(split), most=pictures, seed=seed) if data else None,
        runtimes=runtimes,
        threads=threads,
        kernels=tuple(Kernels(name) for name in kernels),
        timing=_timing(**timing),
        seed=seed,
    )


def _timing(*, mlperf: bool, rounds: int | None, seconds: float | None) -> Timing:
    """The rule that was asked for, with the numbers that were given in their place."""
    from dataclasses import replace

    from benchmarks.protocol.plan import MLPERF, Timing

    rule = MLPERF if mlperf else Timing()
    rule = replace(rule, rounds=rounds) if rounds is not None else rule
    if seconds is None:
        return rule
    return replace(rule, seconds=seconds, most_seconds=max(rule.most_seconds, 2 * seconds))


def _compare(
    files: tuple[Path, Path], *, max_slowdown: float, max_drop: float, as_json: bool, quiet: bool
) -> None:
    from benchmarks.compare.compare import compare
    from benchmarks.compare.findings import RegressionLimits
    from benchmarks.report.record_file import read_record
    from dermpack.errors import InputError

    old, new = map(read_record, files)
    comparison = compare(old, new, limits=RegressionLimits(max_slowdown=max_slowdown, max_drop=max_drop))
    for line in comparison.notes:
        note(line, quiet=quiet)
    result(comparison.record(), "\n".join(comparison.sentences), as_json=as_json)
    if comparison.is_regression:
        count = len(comparison.regressions)
        what = f"worse than {files[0]} in {count} figure{'s' if count > 1 else ''}"
        hint = "Fix the regression, or allow more with --max-slowdown and --max-drop."
        raise FailedWithResultError(InputError(files[1], what, hint, code="regression"))
