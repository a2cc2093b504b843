"""How the house stands: what was taken in, set aside, trained and scored, and what ran last."""

from dataclasses import asdict, dataclass
from typing import Any

from medflow.domain.digests import instant
from medflow.steps.house import House
from medflow.store import runs
from medflow.store import status as counted
from medflow.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Counts of every table that people ask about, and the newest runs."""

    counts: counted.Status
    runs: tuple[runs.RunRow, ...]

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "counts": asdict(self.counts),
            "runs": [
                {
                    "id": run.id,
                    "kind": run.kind,
                    "source": run.source,
                    "state": run.state,
                    "opened": instant(run.opened),
                    "closed": None if run.closed is None else instant(run.closed),
                    "counts": dict(run.counts),
                }
                for run in self.runs
            ],
        }


def status(house: House, *, newest: int = 5) -> Standing:
    """Count rows by state and give the newest runs, in one snapshot."""
    with reading(house.engine) as connection:
        return Standing(counts=counted.status(connection), runs=runs.runs(connection, limit=newest))
