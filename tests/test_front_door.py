"""Facts about the front door: what the documents promise is there, and what is there stands in the documents."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from medflow.cli import build
from medflow.errors import Reason
from medflow.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _verbs(group: TyperGroup, before: str = "") -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _verbs(command, f"{before}{name} ")
        elif isinstance(command, TyperCommand):
            yield before + name, command


COMMANDS = typer.main.get_command(build())
assert isinstance(COMMANDS, TyperGroup)
VERBS = dict(_verbs(COMMANDS))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_stands_in_the_readme(verb: str) -> None:
    assert re.search(rf"`(medflow )?{verb}\b", README)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_help_of_every_verb_gives_an_example_of_itself(verb: str) -> None:
    assert re.search(rf"Example: .*medflow {verb}", VERBS[verb].help or "")


def test_every_setting_stands_in_the_example() -> None:
    described = (ROOT / "ops" / "env.example").read_text(encoding="utf-8")

    assert {f"MEDFLOW_{name.upper()}" for name in Settings.model_fields} <= set(
        re.findall(r"MEDFLOW_[A-Z_]+", described)
    )


def test_every_variable_that_the_documents_name_is_read_by_something() -> None:
    known = {f"MEDFLOW_{name.upper()}" for name in Settings.model_fields}
    known |= {"MEDFLOW_CONFIG", "MEDFLOW_TEST_REQUIRE_SERVERS", "MEDFLOW_REAL_DATA"}
    documents = [
        ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ops/RUNBOOK.md", "ops/env.example", "tests/README.md")
    ]
    named = {
        word for path in documents for word in re.findall(r"MEDFLOW_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }

    assert named - known <= {"MEDFLOW_"}


def test_every_top_level_folder_has_a_door() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and (path / "README.md").exists()]

    assert {path.name for path in folders} >= {"medflow", "pipelines", "schemas", "tests", "sample_dicom", "ops"}


def test_a_reason_is_a_kebab_case_code_and_a_sentence() -> None:
    for reason in Reason:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value)
        assert reason.sentence.endswith(".")


def test_the_documents_speak_of_the_project_alone() -> None:
    for path in ROOT.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "/work/" not in text
        assert "@@" not in text
