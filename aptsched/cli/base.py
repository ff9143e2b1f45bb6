"""The command line that every command is attached to, and the exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from aptsched.support import file_progress

try:
    import typer as typer
    from typer.core import TyperGroup
except ModuleNotFoundError:
    print("error: the commands need typer; pip install 'aptsched[report]' brings it", file=sys.stderr)
    sys.exit(2)

from aptsched.support import interrupts

NO_ANSWER = 1  # infeasible, answers that contradict each other, or a certificate that does not hold
BAD_INPUT = 2
COMMANDS = {
    "bench": "bench",
    "calibrate": "calibrate",
    "capacity": "capacity",
    "gap": "gap",
    "generate": "generate",
    "list": "listing",
    "report": "report",
    "run": "run",
    "serve": "serve",
    "simulate": "simulate",
    "solve": "solve",
    "snapshot": "solve",
    "verify": "verify",
}  # the module in `aptsched/cli` of each command, in the order of the help

if TYPE_CHECKING:
    from click import UsageError as UsageError
else:
    UsageError = typer.BadParameter.__base__  # click's class, or the one that typer has in its place


class Commands(TyperGroup):
    """The commands that are attached; a Ctrl-C that none of them has handled ends in one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return [name for name in COMMANDS if name in self.commands]

    def invoke(self, ctx: Any) -> Any:
        """Run the given command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(interrupts.EXIT_CODE) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Which requests go into the next batch, and with which form of cache?

    \b
    What do policies come to on a real model?
        aptsched run --workload sharegpt --policy fcfs,aptserve --rate 1 2
    And on GPUs that you need not have?
        aptsched simulate --workload sharegpt --policy fcfs,aptserve --rate 2
    At which rate does each break its objectives?
        aptsched capacity --workload sharegpt --policy fcfs,sarathi
    What does a real model write?
        aptsched generate --prompt "Why is the sky blue?"
    What can I choose from?
        aptsched list
    How far is each method's batch from the optimum?
        aptsched gap --workload sharegpt --num-requests 50 200 --out study
    Make one instance, and solve it:
        aptsched snapshot --workload sharegpt --out queue.json
        aptsched solve queue.json --method core
    What did all this look like?
        aptsched report study
    Does every certificate hold?
        aptsched verify study

    `aptsched COMMAND --help` says more. Bad input ends with exit code 2 and one line on what is accepted.
    """,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        from aptsched.support.compiled import is_fast

        try:
            name = f"aptsched {metadata.version('aptsched')}"
        except metadata.PackageNotFoundError:
            name = "aptsched, not installed"
        print(f"{name}, {'compiled by numba' if is_fast() else 'in plain Python'}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    from aptsched.report.progress import FileProgress

    context.with_resource(file_progress.watched(FileProgress()))
