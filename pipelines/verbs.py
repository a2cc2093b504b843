"""The verbs that need Prefect: `medflow run` and `medflow demo`. Prefect itself is imported when one of them runs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from medflow.cli.screen import out, print_json, say


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="ingest, sweep, train, score or nightly.")],
    param: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter; may be repeated.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run has ended.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Ask the Prefect server at PREFECT_API_URL for a run: `prefect deployment run train/train` in a word.

    Exit 0: asked for (with --wait: completed). 1: it ended otherwise. 2: no server, no such deployment.

    Example: medflow run train --param task=chest_ct_nodule --wait
    """
    from pipelines.run import awaited, given, request

    asked = request(name, given(param or ()))
    if not as_json:
        out.print(f"flow run {asked.id} ({asked.name})")
    if wait:
        asked = awaited(asked.id)
    state = asked.state.type.value if asked.state else "SCHEDULED"
    if as_json:
        print_json("run", {"flow_run": str(asked.id), "name": asked.name, "state": state})
    elif wait:
        out.print(f"it ended as {state}")
    else:
        say(f"watch it: prefect flow-run watch {asked.id}")
        say("it runs as soon as a worker is there: prefect worker start --pool medflow --type process")
    raise typer.Exit(0 if not wait or state == "COMPLETED" else 1)


def demo(
    data_dir: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("medflow-demo"),
) -> None:
    """Run the real flows over the sample series: ingest, labels, train, score, verify. Running it again adds nothing.

    Example: medflow demo
    """
    from pipelines.embedded import environment

    settled = {name: value for name, value in environment(data_dir / "prefect").items() if name[:8] != "MEDFLOW_"}
    os.environ.clear()  # Prefect and the settings read it: the demo is nobody's production
    os.environ.update(settled)
    from pipelines.demo import show

    raise typer.Exit(0 if show(data_dir) else 1)
