"""The generated files of `schemas/` are what the code would draw today."""

from pathlib import Path

import pytest

from medflow.store.ddl import golden

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.mark.parametrize(("name", "drawn"), golden().items(), ids=golden())
def test_a_generated_file_is_current(name: str, drawn: str) -> None:
    assert (SCHEMAS / name).read_text() == drawn, "run `python schemas/draw.py`"


def test_every_migration_is_a_single_line_of_descent() -> None:
    for folder in ("main", "vault"):
        versions = sorted((SCHEMAS / "migrations" / folder / "versions").glob("*.py"))
        assert [path.name[:4] for path in versions] == [f"{number:04}" for number in range(1, len(versions) + 1)]
