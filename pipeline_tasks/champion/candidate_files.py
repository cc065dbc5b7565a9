"""What training hands to evaluation, and evaluation to promotion: small JSON files of the night."""

from pathlib import Path

from pydantic import BaseModel

from pipeline_tasks.night import Night
from pipeline_tasks.settings import Settings
from pipeline_tasks.storage.staging import night_folder


class Candidate(BaseModel):
    """One trained candidate, judged on validation only."""

    name: str
    run_id: str
    model_uri: str
    folder: Path
    """The saved recommender on this machine's (or the shared) staging folder."""
    split_id: str
    best_epoch: int
    validation: dict[str, float]
    seconds: float


class Evaluation(BaseModel):
    """The night's verdict."""

    candidate: str
    split_id: str
    model_name: str
    version: str
    metrics: dict[str, float]
    """``<task>.<scorer>.<metric>`` -> value."""
    promote: bool
    reasons: list[str]
    """Why, or why not: one sentence each."""

    @property
    def verdict(self) -> str:
        """The whole decision in words."""
        done = "is to become champion" if self.promote else "is not promoted"
        return f"{self.model_name} version {self.version} ({self.candidate}) {done}: " + "; ".join(self.reasons)


def candidate_path(settings: Settings, night: Night, name: str) -> Path:
    """Return where the candidate `name` is described."""
    folder = night_folder(settings, night) / "candidates"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.json"


def read_candidates(settings: Settings, night: Night, split_id: str) -> list[Candidate]:
    """Read the candidates of the night that were trained on this split, by name.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = candidate_path(settings, night, "any").parent
    found = [Candidate.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]
    current = [candidate for candidate in found if candidate.split_id == split_id]
    if not current:
        raise FileNotFoundError(
            f"No candidate of {night.source} {night.ds} was trained on split {split_id} in {folder}: "
            "run pipeline_tasks.candidates.train_candidate first"
        )
    return current


def evaluation_path(settings: Settings, night: Night) -> Path:
    """Return where the night's verdict lies."""
    return night_folder(settings, night) / "evaluation.json"
