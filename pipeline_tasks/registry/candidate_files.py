"""What training hands to evaluation, and evaluation to promotion: small JSON files of the night."""

from pathlib import Path

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import night_folder
from pipeline_tasks.run_key import RunKey


class Candidate(BaseModel):
    """One trained candidate, judged on validation only."""

    name: str
    run_id: str
    model_uri: str
    folder: Path
    """The saved recommender on this machine's (or the shared) staging folder."""
    split_id: str
    parent_run_id: str = ""
    """MLflow run of the night that asked for it; empty in files from before it was kept."""
    best_epoch: int
    validation: dict[str, float]
    seconds: float


class Evaluation(BaseModel):
    """The night's verdict."""

    candidate: str
    split_id: str
    model_name: str
    version: str
    sha256: str = ""
    """Of the model files as they were saved on this machine; empty in files from before it was kept."""
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


def candidate_path(settings: Settings, night: RunKey, name: str) -> Path:
    """Return where the candidate `name` is described."""
    return night_folder(settings, night) / "candidates" / f"{name}.json"


def read_candidates(settings: Settings, night: RunKey, split_id: str, parent_run_id: str) -> list[Candidate]:
    """Read the candidates of the night that were trained on this split and asked for by this run, by name.

    What an earlier run of the night left, with other settings or of candidates that are not asked for again, does not
    compete.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = candidate_path(settings, night, "any").parent
    found = [Candidate.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]
    asked = (split_id, parent_run_id)
    current = [candidate for candidate in found if (candidate.split_id, candidate.parent_run_id) == asked]
    if not current:
        raise FileNotFoundError(
            f"No candidate of {night.source} {night.ds} was trained in run {parent_run_id} on split {split_id} "
            f"in {folder}: run pipeline_tasks.candidates.train_candidate first"
        )
    return current


def evaluation_path(settings: Settings, night: RunKey) -> Path:
    """Return where the night's verdict lies."""
    return night_folder(settings, night) / "evaluation.json"
