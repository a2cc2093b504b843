"""`medflow ...`: one verb for each thing that can be asked for.

Exit 0: done, nothing refused. 1: finished, and something was refused, withheld or found different; it is listed.
2: not done (use, configuration, a stopped run, a bug). stdout is the result, stderr is progress and messages.
"""

import os
import sys
import traceback
from importlib.metadata import entry_points

import typer
from typer.exceptions import TyperException

from medflow.cli import cohorts, data, deid, evaluate, learn, look, models, patients, select, upkeep, vault
from medflow.cli.screen import err, say
from medflow.errors import MedflowError

DONE, NOT_DONE = 0, 2
INTERRUPTED = 130
"""What the verb's runner makes of Ctrl-C."""


def build() -> typer.Typer:
    """Put the verbs together; those that need Prefect come from the entry-point group `medflow.verbs`."""
    app = typer.Typer(
        name="medflow",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="From a PACS export to scores that can be proved, replayed and recalled. Not cleared for diagnosis.",
    )
    for part in (data, deid, patients, vault, look, cohorts, learn, evaluate, models, select, upkeep):
        part.register(app)
    for verb in entry_points(group="medflow.verbs"):
        app.command(verb.name)(verb.load())
    return app


def main() -> None:
    """Run one verb and end with its exit code; a bug says where it stands, and never what it read."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads wait without spinning beside others
    try:
        code = build()(standalone_mode=False)
    except MedflowError as error:
        err.print(f"not done: {error}", style="red", markup=False)
        code = NOT_DONE
    except TyperException as error:
        err.print(error.format_message(), markup=False)
        code = NOT_DONE
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as bug:  # noqa: BLE001  (its message may quote a header: only its type and place are shown)
        last = traceback.extract_tb(bug.__traceback__)[-1]
        err.print(f"a bug: {type(bug).__name__} in {last.name}, line {last.lineno}; please report it", style="red")
        code = NOT_DONE
    if code == INTERRUPTED:
        say("stopped; what was finished is kept, and the next run does the rest")
        code = NOT_DONE
    sys.exit(code if isinstance(code, int) else DONE)
