"""Show the options of a command in sections, each with the default that the recipe gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

REST = "Result"
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Network": ("arch", "alpha", "size", "weights", "head", "dense", "dropout", "filters", "kernel"),
    "Training": (
        "head_epochs",
        "head_rate",
        "epochs",
        "rate",
        "fine_tune",
        "batch",
        "schedule",
        "warm_up",
        "label_smoothing",
        "ema",
        "teacher",
        "teacher_share",
        "metric",
        "patience",
    ),
    "Pictures and classes": (
        "augment",
        "copies",
        "head_copies",
        "balance",
        "balance_power",
        "sensitivity",
    ),
    "Machine": ("seed", "strategy", "threads", "mixed_precision", "time_limit"),
}


class TrainCommand(click.Command):
    """A command whose help has more options than fit into one list."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        defaults = _defaults()
        params = self.get_params(ctx)
        options = {str(param.name): param for param in params if isinstance(param, click.Option)}
        placed = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in options if name not in placed)
        for title, names in {REST: rest, **SECTIONS}.items():
            records = list(_records(ctx, [options[name] for name in names], defaults))
            with formatter.section(title):
                formatter.write_dl(records)


def _records(
    ctx: click.Context, options: list[click.Option], defaults: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for option in options:
        record = option.get_help_record(ctx)
        if record is not None:
            default = defaults.get(str(option.name))
            shown = f"{record[1]}  [default: {default}]" if default else record[1]
            yield record[0], shown.strip()


def _defaults() -> Mapping[str, str]:
    """None where only the base is installed: help is help all the same."""
    try:
        from trainer.recipe.option_defaults import default_texts
    except ModuleNotFoundError:
        return {}
    return default_texts()
