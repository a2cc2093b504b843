"""The night's retention: counts cross into Prefect, and nothing else."""

from pathlib import Path

import pytest

from pipelines.nightly import enforce_retention, faults, report


def test_a_nights_retention_gives_back_counts_and_a_runs_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MEDFLOW_KEEP_SERIES", "30")

    done = enforce_retention.fn()

    assert done.pop("run").startswith("run_")
    assert done == dict.fromkeys(done, 0)
    night = {"ingest": {"run": "run_1"}, "score": None, "retention": done, "audit": {"rows": 2, "faults": 0}}
    assert "| retention | series | 0 |" in report(night)
    assert faults(night) == []
