"""Draws the generated files of this folder again: `python schemas/draw.py`."""

from pathlib import Path

from medflow.store.ddl import golden

if __name__ == "__main__":
    for name, drawn in golden().items():
        (Path(__file__).parent / name).write_text(drawn, encoding="utf-8")
