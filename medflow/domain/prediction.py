"""What a model said of a series, and all that is needed to compute it again."""

from dataclasses import dataclass
from datetime import datetime

from medflow.domain.digests import digest, natural_id
from medflow.domain.safe import Pseudonym, SeriesUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVersion:
    """The code that ran: version, commit (".dirty" if so) and what was installed beside it."""

    version: str
    commit: str
    packages: tuple[tuple[str, str], ...]
    """(name, version) of every installed distribution, sorted."""

    @property
    def digest(self) -> str:
        """Name version, commit and packages together."""
        return digest("code", [self.version, self.commit, [list(package) for package in self.packages]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What bits depend on beside code and weights."""

    device: str
    """"cpu", or the GPU's name."""
    capability: str
    """torch's CPU capability (AVX2, AVX512 ...), or the CUDA compute capability."""
    threads: int
    batch: int
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One model's answer for one series. Its natural key makes scoring twice the same as scoring once."""

    subject: SeriesUID
    patient: Pseudonym
    series_id: str
    series_digest: str
    layout_digest: str
    input_digest: str
    model_id: str
    model_digest: str
    grid_digest: str
    generation: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """One for each output, in order; they sum to one, unless findings do not exclude each other."""
    label: str
    """What the model's calibration makes of them: `Calibration.answer`."""
    withheld: str | None
    """Why the model abstains, or None."""
    code: str
    """Digest of the CodeVersion."""
    runtime: Runtime
    at: datetime
    completeness: str | None = None
    """The verdict on the series when it was scored; None in predictions older than verdicts."""
    stage: str | None = None
    """The model's stage when it scored: what a shadow says is never delivered. None in predictions older than that."""

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.probabilities):
            raise ValueError("a prediction has one probability for each class")

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        key = [self.subject, self.input_digest, self.model_digest, self.grid_digest, self.generation]
        return natural_id("prd_", "prediction", key)
