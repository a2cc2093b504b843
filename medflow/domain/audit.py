"""One line of the audit trail: what happened to what, by whom, and the hash that ties it to the line before."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from medflow.domain.digests import canonical

START = "0" * 64
"""The `prev` of the first line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What is to be remembered. `detail` holds ids, digests, counts and codes: no identity, no float."""

    at: datetime
    actor: str
    kind: str
    """What happened, in kebab-case: "series-accepted", "prediction-written", "run-closed" ..."""
    run: str
    subject: str
    """Id of what it happened to; empty where it happened to the whole run."""
    code: str
    """Digest of the code that did it."""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def line(self, seq: int, prev: str) -> str:
        """Spell the event as row `seq` after the row whose hash is `prev`."""
        return canonical(
            {
                "actor": self.actor,
                "at": self.at,
                "code": self.code,
                "detail": self.detail,
                "kind": self.kind,
                "prev": prev,
                "run": self.run,
                "seq": seq,
                "subject": self.subject,
            }
        )


def line_hash(line: str) -> str:
    """Name a line by the SHA-256 of its text; the next line holds it as `prev`."""
    return hashlib.sha256(line.encode("ascii")).hexdigest()
