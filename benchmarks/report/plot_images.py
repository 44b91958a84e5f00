"""The plots of a report: how rounds spread, what accuracy costs, how large files are, where time goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.protocol.plan import KERNELS_WORDS, Setting
from benchmarks.report.figure_text import MEGABYTE, MILLION, kind_text, threads_text
from benchmarks.report.plots import Point, RoundSpread, parts_plot, spread_plot, tradeoff_plot
from benchmarks.report.record_lookup import answer_at, cost, is_measured, results_of
from benchmarks.report.schema import Record, Result
from dermpack.reporting.page import Image
from dermpack.reporting.plots import bars, figure_png, height_for

MOST_OPERATORS = 5  # the rest is one part
REST = "all others"
LEAST_PERCENT = 1e-6  # of a part that has a colour: what is left beside all others is rounding


def spread_images(record: Record, target: str) -> list[Image]:
    """One plot for each number of threads."""
    timed = [of for of in results_of(record, target) if of.times and of.times.rounds_ms]
    threads = sorted({of.where.threads for of in timed})
    return [_spread(record, [of for of in timed if of.where.threads == many]) for many in threads]


def tradeoff_image(record: Record, target: str, *, is_emulated: bool) -> Image | None:
    """Accuracy against what it costs, where both are known of two points at least."""
    points = list(_points(record, target, is_emulated=is_emulated))
    if len(points) < 2:
        return None
    unit = "million instructions an inference (no latency)" if is_emulated else "median, ms"
    plot = tradeoff_plot(points, models=_names(record), cost=unit, score="balanced accuracy, %")
    caption = (
        f"{target}: each setting a dot, with the 95 % interval over groups at the cheapest of each answer; "
        "rings mark the settings that no other one beats in both."
    )
    return Image(data=figure_png(plot, height_inches=4.2), alt="Accuracy against cost", caption=caption)


def size_image(record: Record) -> Image:
    names = _names(record)
    plot = bars(names, [of.size_bytes / MEGABYTE for of in record.models], unit="MB", form="{:,.2f}")
    return Image(
        data=figure_png(plot, height_inches=height_for(len(names))),
        alt="Size of each file",
        caption="Size of each file.",
    )


def instructions_image(record: Record, target: str) -> Image | None:
    counted = [of for of in results_of(record, target) if of.instructions_per_inference is not None]
    if not counted:
        return None
    names = [f"{of.model} · {_row_text(of.where.setting)}" for of in counted]
    plot = bars(
        names,
        [cost(of) / MILLION for of in counted],
        unit="million instructions an inference",
        form="{:,.1f}",
    )
    caption = f"{target}, emulated: instructions an inference. A count, not a latency."
    return Image(data=figure_png(plot, height_inches=height_for(len(names))), alt=caption, caption=caption)


def operators_image(record: Record, target: str) -> Image | None:
    """A bar a model and runtime, in parts by kind of operator, or under emulation of instruction."""
    told = ((of, sum(operator.share for operator in of.operators or ())) for of in results_of(record, target))
    profiled = [of for of, share in told if share > 0]
    if not profiled:
        return None
    kinds = _largest_kinds(profiled)
    every = {kind: [_share(of, kind, kinds) for of in profiled] for kind in (*kinds, REST)}
    parts = {kind: shares for kind, shares in every.items() if max(shares) >= LEAST_PERCENT}
    caption = f"{target}: where one inference goes, by kind."
    return _parts_image(profiled, parts, unit="% of one inference", form="{:.0f}", caption=caption)


def steps_image(stepped: Sequence[Result]) -> Image:
    """A bar a model and runtime, in parts from decoding to inference."""
    parts = {
        step: [getattr(of.steps, f"{step}_ms") for of in stepped]
        for step in ("decode", "resize", "copy", "invoke")
    }
    caption = f"{stepped[0].where.target}: from a picture file to its label, the median of each step."
    return _parts_image(stepped, parts, unit="ms", form="{:.1f}", caption=caption)


def _parts_image(
    results: Sequence[Result], parts: Mapping[str, Sequence[float]], *, unit: str, form: str, caption: str
) -> Image:
    names = [f"{of.model} · {_row_text(of.where.setting)}" for of in results]
    plot = parts_plot(names, parts, unit=unit, form=form)
    data = figure_png(plot, height_inches=height_for(len(names)) + 0.5)
    return Image(data=data, alt=caption, caption=caption)


def setting_text(setting: Setting) -> str:
    """Short: "litert default, 2 thr."."""
    return f"{kernels_text(setting)}, {setting.threads} thr."


def _row_text(setting: Setting) -> str:
    """ "litert default" for one thread, "litert default ×2": bars have little room."""
    return kernels_text(setting) + (f" ×{setting.threads}" if setting.threads > 1 else "")


def kernels_text(setting: Setting) -> str:
    """Shorter: "litert default", "tflite without XNNPACK"."""
    runtime = setting.runtime.replace("ai-edge-litert", "litert").replace("tflite-runtime", "tflite")
    return f"{runtime} {KERNELS_WORDS[setting.kernels].removesuffix(' kernels')}"


def _spread(record: Record, results: Sequence[Result]) -> Image:
    rows = [
        RoundSpread(
            name=f"{of.model} · {kernels_text(of.where.setting)}",
            model=of.model,
            rounds=of.times.rounds_ms if of.times and of.times.rounds_ms else (),
        )
        for of in results
    ]
    where = results[0].where
    caption = (
        f"{where.target}, {threads_text(where.threads)}: every round a dot (of many, some), the middle half "
        "a box, the middle nine tenths a line, the median a stroke; the slowest 1 % may lie outside."
    )
    data = figure_png(
        spread_plot(rows, models=_names(record), unit="ms"), height_inches=height_for(len(rows)) + 0.2
    )
    return Image(data=data, alt="How the rounds spread", caption=caption)


def _points(record: Record, target: str, *, is_emulated: bool) -> Iterator[Point]:
    for of in results_of(record, target):
        answer = answer_at(record, of.model, of.where)
        figure = answer.balanced_accuracy if answer else None
        if is_measured(of) and figure is not None and figure.value is not None:
            yield Point(
                name=setting_text(of.where.setting),
                model=of.model,
                cost=cost(of) / (MILLION if is_emulated else 1),
                score=100 * figure.value,
                ci95=figure.ci95 and (100 * figure.ci95[0], 100 * figure.ci95[1]),
            )


def _largest_kinds(profiled: Sequence[Result]) -> list[str]:
    sums: dict[str, float] = {}
    for of in profiled:
        for operator in of.operators or ():
            kind = kind_text(operator)
            sums[kind] = sums.get(kind, 0.0) + operator.share
    return sorted(sums, key=lambda kind: (-sums[kind], kind))[:MOST_OPERATORS]


def _share(result: Result, kind: str, kinds: Sequence[str]) -> float:
    told = [(kind_text(of), of.share) for of in result.operators or ()]
    return 100 * sum(share for name, share in told if (name not in kinds if kind == REST else name == kind))


def _names(record: Record) -> list[str]:
    return [of.name for of in record.models]
