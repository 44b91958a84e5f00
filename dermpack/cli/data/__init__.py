"""dermpack data: import, check and describe datasets."""

from dermpack.cli import LazyGroup

COMMANDS = {
    "import": ("dermpack.cli.data.import_", "Write a dataset folder from downloaded pictures."),
    "check": ("dermpack.cli.data.check", "Verify files, hashes and splits; exit with 1 on leakage."),
    "report": ("dermpack.cli.data.report", "Write a report of a dataset before training."),
    "demo": ("dermpack.cli.data.demo", "Generate skin-like demo pictures."),
}
command = LazyGroup(commands_in=COMMANDS, name="data", text="Import pictures with splits that do not leak.")
