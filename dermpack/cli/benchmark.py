"""dermpack benchmark: measure the latency and the answers of .tflite files, or compare two reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import (
    RESEARCH_ONLY,
    FailedWithResultError,
    output_options,
    print_note,
    print_result,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from benchmarks.protocol.plan import BenchmarkPlan

PATH = click.Path(path_type=Path)
SPLITS = ("train", "validation", "test")
RUNTIMES, KERNELS = ("ai-edge-litert", "tflite-runtime"), ("xnnpack", "none")
MOST_THREADS, MOST_PERCENT = 64, 1000


def _threads(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse a list of counts: "1,2,4" → (1, 2, 4)."""
    parts = value.split(",")
    counts = [int(part) for part in parts if part.strip().isdecimal()]
    if len(counts) != len(parts) or not all(1 <= count <= MOST_THREADS for count in counts):
        raise click.BadParameter(f"{value!r} is not a list of counts from 1 to {MOST_THREADS}, like 1,2,4")
    return tuple(dict.fromkeys(counts))


def _share(_: click.Context, __: click.Parameter, value: str) -> float:
    """Parse a percentage: "5%" or "5" → 0.05."""
    try:
        percent = float(value.removesuffix("%"))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a percentage, like 5%") from error
    if not 0 <= percent <= MOST_PERCENT:
        raise click.BadParameter(f"{value!r} is not between 0% and {MOST_PERCENT}%")
    return percent / 100


@click.command("benchmark", short_help="Measure the latency and the answers of .tflite files.")
@click.argument("models", type=PATH, nargs=-1, metavar="[MODEL.tflite|EXPORT]...")
@click.option("-o", "--output", metavar="REPORT", type=PATH, help="Write the report into this new folder.")
@click.option(
    "--data", "dataset", metavar="DATASET", type=PATH,
    help="Also score the models on this dataset and compare their answers.",
)  # fmt: skip
@click.option(
    "--split", type=click.Choice(SPLITS), default="test", show_default=True,
    help="The split of DATASET to use.",
)  # fmt: skip
@click.option(
    "--pictures", type=click.IntRange(1), metavar="N",
    help="Number of pictures from the split.  [default: all]",
)  # fmt: skip
@click.option(
    "--on", "places", multiple=True, metavar="TARGET", default=("host",), show_default=True,
    help="Where to measure: host, ssh:user@host[:port], adb[:SERIAL], qemu:cortex-a72 or "
    "qemu:cortex-a76; can be "
    "repeated.",
)  # fmt: skip
@click.option(
    "--runtime", "runtimes", multiple=True, type=click.Choice(RUNTIMES),
    help="The runtime to measure; can be repeated.  [default: all that are installed]",
)  # fmt: skip
@click.option(
    "--kernels", multiple=True, type=click.Choice(KERNELS), default=KERNELS, show_default=True,
    help="Run with XNNPACK, the default of the runtimes, or without it; can be repeated.",
)  # fmt: skip
@click.option(
    "--threads", callback=_threads, default="1,2,4", show_default=True, metavar="N,…",
    help="Numbers of threads to measure with.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(5, 1_000_000),
    help="Least number of rounds for each model.  [default: 50]",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, 3600), help="Least time for each model.  [default: 1]")
@click.option(
    "--mlperf", is_flag=True,
    help="Measure 1,024 rounds and 60 seconds for each model, enough for the 90th percentile.",
)  # fmt: skip
@click.option(
    "--python", default="python3", show_default=True, metavar="PATH",
    help="The Python interpreter on the ssh machine.",
)  # fmt: skip
@click.option("--identity", type=PATH, metavar="FILE", help="The private key for the ssh machine.")
@click.option(
    "--benchmark-model", type=PATH, metavar="PATH",
    help="The benchmark_model tool of TensorFlow, built for the phone.",
)  # fmt: skip
@click.option(
    "--labels", "labels_file", type=PATH, metavar="FILE", help="The labels of models without a contract."
)
@click.option("--no-pictures", is_flag=True, help="Leave the pictures of the dataset out of the report.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the intervals."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
@click.option(
    "--compare", nargs=2, type=PATH, metavar="OLD.json NEW.json",
    help="Compare two reports instead of measuring; the exit code is 1 on a regression.",
)  # fmt: skip
@click.option(
    "--max-slowdown", callback=_share, default="5%", show_default=True, metavar="PERCENT",
    help="With --compare: the slowdown that is not a regression.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), default=0.5, show_default=True, metavar="POINTS",
    help="With --compare: the loss of balanced accuracy that is not a regression.",
)  # fmt: skip
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
    **plan_options: Any,
) -> None:
    """Measure MODELs in turns and compare the others with the first.

    On real targets, the report gives milliseconds with intervals; on an emulated processor, answers and
    instruction counts, never times. With --data, every model answers the same pictures on every target.
    REPORT contains report.json, report.html and report.md.

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
    from benchmarks.report.page import terminal_tables
    from benchmarks.report.record_file import record_json
    from benchmarks.report.write_report import PAGE_FILE, check_report_folder, write_report
    from benchmarks.targets.measure import TargetOptions, measure_targets, parse_targets

    check_report_folder(output, overwrite=overwrite)
    target_options = TargetOptions(python=python, identity=identity, benchmark_model=benchmark_model)
    targets, plan = parse_targets(places, target_options), _plan(models, **plan_options)
    visited = measure_targets(targets, plan, track=progress_bar(quiet=quiet))
    record = write_report(visited.measured, plan, output, with_pictures=not no_pictures, overwrite=overwrite)
    for shown in terminal_tables(record):
        print_table(shown.caption, shown.header, shown.rows, quiet=quiet or as_json)
    print_note(RESEARCH_ONLY, quiet=quiet)
    print_result(record_json(record), str(output / PAGE_FILE), as_json=as_json)
    for failure in visited.failures[1:]:
        print_note(f"error[{failure.code}]: {failure}", quiet=False)
    if visited.failures:  # the report contains the other targets
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
    mlperf: bool,
    rounds: int | None,
    seconds: float | None,
) -> BenchmarkPlan:
    from dataclasses import replace

    from benchmarks.models import read_models
    from benchmarks.protocol.plan import MLPERF, BenchmarkPlan, Timing, choose_pictures
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.inference import Kernels

    data = read_dataset(dataset) if dataset else None
    # --rounds and --seconds replace the numbers of either rule.
    timing = MLPERF if mlperf else Timing()
    if rounds is not None:
        timing = replace(timing, rounds=rounds)
    if seconds is not None:
        timing = replace(timing, seconds=seconds, most_seconds=max(timing.most_seconds, 2 * seconds))
    return BenchmarkPlan(
        models=read_models(models, labels=labels_file),
        scored=choose_pictures(data, Split(split), most=pictures, seed=seed) if data else None,
        runtimes=runtimes,
        threads=threads,
        kernels=tuple(Kernels(name) for name in kernels),
        timing=timing,
        seed=seed,
    )


def _compare(
    files: tuple[Path, Path], *, max_slowdown: float, max_drop: float, as_json: bool, quiet: bool
) -> None:
    from benchmarks.compare.compare import compare_reports
    from benchmarks.compare.findings import RegressionLimits
    from benchmarks.report.record_file import read_record
    from dermpack.errors import InputError

    old, new = map(read_record, files)
    comparison = compare_reports(
        old, new, limits=RegressionLimits(max_slowdown=max_slowdown, max_drop=max_drop)
    )
    for line in comparison.notes:
        print_note(line, quiet=quiet)
    print_result(comparison.record(), "\n".join(comparison.sentences), as_json=as_json)
    if comparison.is_regression:
        count = len(comparison.regressions)
        what = f"worse than {files[0]} in {count} figure{'s' if count > 1 else ''}"
        hint = "Fix the regression, or allow more with --max-slowdown and --max-drop."
        raise FailedWithResultError(InputError(files[1], what, hint, code="regression"))
