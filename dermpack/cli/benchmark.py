"""dermpack benchmark: measure the latency and the answers of .tflite files, or compare two reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from dermpack.cli import FailedWithResultError, options
from dermpack.cli.console import RESEARCH_ONLY, Printer
from dermpack.errors import count_noun

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


@click.command("benchmark")
@click.argument("models", type=options.PATH, nargs=-1, metavar="[MODEL.tflite|EXPORT]...")
@options.output("REPORT", "Write the report into this new folder.", required=False)
@options.path("--data", "DATASET", "Also score the models on this dataset and compare their answers.")
@options.split("use")
@click.option(
    "--pictures", type=click.IntRange(1), metavar="N",
    help="Number of pictures from the split.  [default: all]",
)  # fmt: skip
@click.option(
    "--on", "places", multiple=True, metavar="TARGET", default=("host",), show_default=True,
    help="Where to measure: host, ssh:user@host[:port], adb[:SERIAL], qemu:cortex-a72 or qemu:cortex-a76; "
    "can be repeated.",
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
    "--rounds",
    type=click.IntRange(5, 1_000_000),
    help="Least number of rounds for each model.  [default: 50]",
)
@click.option("--seconds", type=click.FloatRange(0, 3600), help="Least time for each model.  [default: 1]")
@options.flag(
    "--mlperf", "Measure 1,024 rounds and 60 seconds for each model, enough for the 90th percentile."
)
@click.option(
    "--python", default="python3", show_default=True, metavar="PATH",
    help="The Python interpreter on the ssh machine.",
)  # fmt: skip
@options.path("--identity", "FILE", "The private key for the ssh machine.")
@options.path("--benchmark-model", "PATH", "The benchmark_model tool of TensorFlow, built for the phone.")
@options.labels("The labels of models without a contract: a file, or the labels themselves.")
@options.flag("--no-pictures", "Leave the pictures of the dataset out of the report.")
@options.seed("the intervals")
@options.flag("--overwrite", "Replace an existing report.")
@click.option(
    "--compare", nargs=2, type=options.PATH, metavar="OLD.json NEW.json",
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
@options.printer
def command(
    models: tuple[Path, ...],
    output: Path | None,
    data: Path | None,
    split: str,
    pictures: int | None,
    places: tuple[str, ...],
    runtimes: tuple[str, ...],
    kernels: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int | None,
    seconds: float | None,
    mlperf: bool,
    python: str,
    identity: Path | None,
    benchmark_model: Path | None,
    labels: str | None,
    no_pictures: bool,
    seed: int,
    overwrite: bool,
    compare: tuple[Path, Path] | None,
    max_slowdown: float,
    max_drop: float,
    printer: Printer,
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
        _compare(compare, max_slowdown=max_slowdown, max_drop=max_drop, printer=printer)
        return
    if not models or output is None:
        raise click.UsageError("give MODELs and -o REPORT, or --compare OLD.json NEW.json")
    from benchmarks.models import read_models
    from benchmarks.protocol.plan import MLPERF, BenchmarkPlan, Timing, choose_pictures
    from benchmarks.report.record_file import record_json
    from benchmarks.report.write_report import PAGE_FILE, check_report_folder, terminal_tables, write_report
    from benchmarks.targets.measure import TargetOptions, measure_targets, parse_targets
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.dataset.views import match_labels
    from dermpack.inference.interpreter_host import Kernels

    check_report_folder(output, overwrite=overwrite)
    target_options = TargetOptions(python=python, identity=identity, benchmark_model=benchmark_model)
    targets = parse_targets(places, target_options)
    # --rounds and --seconds replace the numbers of either rule.
    timing = MLPERF if mlperf else Timing()
    if rounds is not None:
        timing = replace(timing, rounds=rounds)
    if seconds is not None:
        timing = replace(timing, seconds=seconds, most_seconds=max(timing.most_seconds, 2 * seconds))
    measured = read_models(models, labels=labels)
    dataset = match_labels(read_dataset(data), measured[0].dataset_sha256) if data else None
    plan = BenchmarkPlan(
        models=measured,
        scored=choose_pictures(dataset, Split(split), most=pictures, seed=seed) if dataset else None,
        runtimes=runtimes,
        threads=threads,
        kernels=tuple(Kernels(name) for name in kernels),
        timing=timing,
        seed=seed,
    )
    visited = measure_targets(targets, plan, track=printer.track)
    record = write_report(visited.measured, plan, output, with_pictures=not no_pictures, overwrite=overwrite)
    for shown in terminal_tables(record):
        printer.unless_json.table(shown.caption, shown.header, shown.rows)
    printer.note(RESEARCH_ONLY)
    printer.result(record_json(record), str(output / PAGE_FILE))
    for failure in visited.failures[1:]:
        Printer().note(f"error[{failure.code}]: {failure}")  # also with --quiet
    if visited.failures:  # the report contains the other targets
        raise FailedWithResultError(visited.failures[0])


def _compare(files: tuple[Path, Path], *, max_slowdown: float, max_drop: float, printer: Printer) -> None:
    from benchmarks.compare.compare import RegressionLimits, compare_reports
    from benchmarks.report.record_file import read_record
    from dermpack.errors import InputError

    old, new = map(read_record, files)
    limits = RegressionLimits(max_slowdown=max_slowdown, max_drop=max_drop)
    comparison = compare_reports(old, new, limits=limits)
    printer.note(*comparison.notes)
    printer.result(comparison.record(), *comparison.sentences)
    if comparison.is_regression:
        what = f"worse than {files[0]} in {count_noun(len(comparison.regressions), 'figure')}"
        hint = "Fix the regression, or allow more with --max-slowdown and --max-drop."
        raise FailedWithResultError(InputError(files[1], what, hint, code="regression"))
