"""Tell the steps and the summary of a demo to a person."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dermpack.cli.demo.progress_file import StepCost
from dermpack.cli.demo.run_steps import Tell
from dermpack.cli.demo.steps import DemoStep
from dermpack.cli.demo.summary import DemoScore, DemoSummary
from dermpack.errors import printable

MEGABYTE = 1e6
NEXT = (
    ("dermpack data import PICTURES -o dataset", "labels: see docs/your-own-data.md"),
    ("dermpack data report dataset -o report", "look before you train"),
    ("dermpack train dataset -o run", "from ImageNet: downloads it once"),
    ("dermpack evaluate run dataset -o evaluation", ""),
    ("dermpack convert run -o export", ""),
    ("dermpack verify export dataset", ""),
    ("dermpack package export -o app.zip", ""),
)
RESEARCH_ONLY = "Research software, not a medical device; the pictures are generated."


def teller(count: int, *, quiet: bool) -> Tell:
    """Name each step and its command on stderr."""

    def tell(number: int, step: DemoStep, spent: StepCost | None) -> None:
        head = f"{number}/{count} {step.title}"
        if spent is not None:
            _say(f"{head}: done before, in {spent.seconds:.0f} s", style="dim")
            return
        _say("", style="")
        _say(head, style="bold")
        _say(f"$ dermpack {shlex.join(step.arguments)}", style="dim")

    def untold(number: int, step: DemoStep, spent: StepCost | None) -> None:
        del number, step, spent

    return untold if quiet else tell


def _say(line: str, *, style: str) -> None:
    """A line that the terminal itself wraps, so that a command can be copied."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(printable(line), style=style), soft_wrap=True)


def summary_text(of: DemoSummary) -> str:
    """What goes to stdout: eighty columns are enough, but for long paths."""
    blocks = (_figures(of), _places(of), _times(of), _next())
    return "\n" + "\n\n".join("\n".join(block) for block in blocks)


def _figures(of: DemoSummary) -> Iterator[str]:
    yield f"Of {of.pictures:,} generated pictures a file was made that says {' or '.join(of.classes)}:"
    yield f"  file      {of.file}, {of.size_bytes / MEGABYTE:.2f} MB, {of.recipe}"
    yield f"  accuracy  balanced, on {of.tested} test pictures of {of.tested_groups} groups (95 % interval)"
    yield f"            the network  {_scored(of.network)}"
    yield f"            the file     {_scored(of.file_scored)}"
    lost = of.lost
    around = f" ({lost.ci95[0]:.1f} to {lost.ci95[1]:.1f})" if lost.ci95 else ""
    yield f"  integers  cost {lost.points:.1f} points{around} on {lost.n} {lost.split} pictures"
    yield f"  speed     {of.speed.median_ms:.2f} ms a picture, median on this machine"
    yield f"            ({of.speed.setting})"
    asked = of.asked
    but = "" if asked.is_sure else ", too unsure for an answer"
    yield f"  answer    {asked.picture}: {asked.label}, {100 * asked.probability:.1f} %{but}"
    yield RESEARCH_ONLY


def _scored(of: DemoScore) -> str:
    around = f" ({of.ci95[0]:.3f} to {of.ci95[1]:.3f})" if of.ci95 else ""
    return f"{of.value:.3f}{around}"


def _places(of: DemoSummary) -> Iterator[str]:
    yield "Look at"
    width = max(len(str(path)) for path in of.places)
    yield from (f"  {path!s:<{width}}  {what}" for path, what in of.places.items())


def _times(of: DemoSummary) -> Iterator[str]:
    width = max(len(step.title) for step in of.steps)
    yield f"{'Seconds':<{width + 2}}  {'clock':>7}  {'processors':>10}"
    for step in of.steps:
        yield f"  {step.title:<{width}}  {step.seconds:>7.1f}  {step.processor_seconds:>10.1f}"
    yield f"  {'in all':<{width}}  {of.seconds:>7.1f}  {of.processor_seconds:>10.1f}"


def _next() -> Iterator[str]:
    yield "Next, with pictures of your own"
    width = max(len(command) for command, _ in NEXT)
    yield from (f"  {command:<{width}}  {what}".rstrip() for command, what in NEXT)
