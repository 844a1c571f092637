"""The command line: one file a command, imported when it is used."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from harmless import __version__
from harmless.errors import HarmlessError

app = App(
    name="harmless",
    help="Make any LLM harmless, and prove it.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)

#: name -> (where its function or app is, one line of help)
COMMANDS = {
    "make": ("harmless.cli.make:make", "Check a target, guard and align it, check again, write the report."),
    "check": ("harmless.cli.check:check", "Measure how harmful a target is."),
    "attack": ("harmless.cli.attack:attack", "Search for ways in which a target does what it should refuse."),
    "failures": ("harmless.cli.failures:failures", "Find what the failures of a run have in common."),
    "learn": ("harmless.cli.learn:learn", "Draft rules, rows and a regression suite from failures."),
    "import": ("harmless.cli.importing:import_", "Import results of other tools, and judge them."),
    "defend": ("harmless.cli.defend:defend", "Compare defences of a target against attacks."),
    "align": ("harmless.cli.align:align", "Train a model to refuse what is harmful and to answer the rest."),
    "privacy": ("harmless.cli.privacy:privacy", "What a model remembers of its training data."),
    "explain": ("harmless.cli.explain:explain", "See why a model does what it does."),
    "compare": ("harmless.cli.compare:compare", "Compare two runs of the same plan, prompt by prompt."),
    "runs": ("harmless.cli.runs:runs", "List the runs of the workspace."),
    "show": ("harmless.cli.show:show", "Show what a run found."),
    "report": ("harmless.cli.report:report", "Write the report of a run, or of two."),
    "generate": ("harmless.cli.generate:generate", "Let a target answer the prompts of a file."),
    "scan": ("harmless.cli.scan:scan", "Look for triggers: stealth edits and backdoors."),
    "guard": ("harmless.cli.guard:guard", "List guards, judge files with them, train them."),
    "data": ("harmless.cli.data:data", "List, show, compare and validate data sets."),
    "hazards": ("harmless.cli.hazards:hazards", "Show the taxonomy, its mappings and coverage."),
    "models": ("harmless.cli.models:models", "Fetch and find the bundled model."),
    "policy": ("harmless.cli.policy:policy", "Print the default policy, or check a policy file."),
}

#: Exit code of an error that should not be; 1 would say that a gate failed.
DEFECT = 70

for _name, (_where, _help) in COMMANDS.items():
    app.command(_where, name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with one of the codes of docs/reference/cli.md."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS and {"--help", "-h"}.intersection(given):
        _describe(given[0])
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _fail(str(error), "See --help.", 2)
    except HarmlessError as error:
        _fail(error.message, error.next_step, error.exit_code)
    except KeyboardInterrupt:
        _report("Interrupted.", "The same command goes on where it stopped.")
        sys.stdout.flush()
        os._exit(130)  # replies that came are stored; waiting for a local model to finish its own takes long
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        traceback.print_exc()
        _fail(f"An error of harmless itself, {type(error).__name__}.", "Please report the above.", DEFECT)
    sys.exit(code if isinstance(code, int) else 0)


def _describe(command: str) -> None:
    """Let a command's help be the docstring of its function: the line in the list of commands is shorter."""
    chosen = app[command]
    if chosen.default_command is not None:
        chosen.help = None


def _fail(message: str, next_step: str, code: int) -> None:
    _report(message, next_step)
    sys.exit(code)


def _report(message: str, next_step: str) -> None:
    print(f"harmless: {message}", file=sys.stderr)
    if next_step:
        print(f"  {next_step}", file=sys.stderr, flush=True)
