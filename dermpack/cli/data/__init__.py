"""dermpack data: pictures in, with honest splits."""

from dermpack.cli.lazy_group import LazyGroup

COMMANDS = {
    "import": (
        "dermpack.cli.data.import_",
        "Write a dataset folder from pictures as people download them.",
    ),
    "check": ("dermpack.cli.data.check", "Verify files, hashes and splits; exit 1 on leakage."),
    "report": ("dermpack.cli.data.report", "Write a page to look at before training."),
    "demo": ("dermpack.cli.data.demo", "Render skin-like demo pictures."),
}
command = LazyGroup(commands_in=COMMANDS, name="data", text="Bring pictures in, with honest splits.")
