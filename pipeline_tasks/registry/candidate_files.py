"""The JSON files in staging that pass candidates to the evaluation, and its result to the promotion."""

from pathlib import Path

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.run_key import RunKey


class Candidate(BaseModel):
    """One trained candidate with its metrics on the validation split."""

    name: str
    run_id: str
    folder: Path
    """The saved recommender in the staging folder, on this machine or a shared disk."""
    split_id: str
    parent_run_id: str = ""
    """Parent run in MLflow; empty in files of earlier versions."""
    best_epoch: int
    validation: dict[str, float]
    seconds: float


class Evaluation(BaseModel):
    """The result of the evaluation of a day's best candidate."""

    candidate: str
    split_id: str
    model_name: str
    version: str
    sha256: str = ""
    """SHA-256 of the model files as saved on this machine; empty in files of earlier versions."""
    metrics: dict[str, float]
    """``<task>.<scorer>.<metric>`` -> value."""
    promote: bool
    reasons: list[str]
    """One sentence for each comparison and limit."""

    @property
    def verdict(self) -> str:
        """The decision and its reasons in one sentence."""
        decision = "is to become champion" if self.promote else "is not promoted"
        return f"{self.model_name} version {self.version} ({self.candidate}) {decision}: " + "; ".join(self.reasons)


def candidate_path(settings: Settings, key: RunKey, name: str) -> Path:
    """Return the path of the file of the candidate `name`."""
    return staging_folder(settings, key) / "candidates" / f"{name}.json"


def read_candidates(settings: Settings, key: RunKey, split_id: str, parent_run_id: str) -> list[Candidate]:
    """Return the candidates that this parent run trained on this split, sorted by name.

    Candidates of an earlier run for the same day are left out.

    Raises:
        FileNotFoundError: there is no such candidate.
    """
    folder = candidate_path(settings, key, "any").parent
    found = [Candidate.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]
    wanted = (split_id, parent_run_id)
    current = [candidate for candidate in found if (candidate.split_id, candidate.parent_run_id) == wanted]
    if not current:
        raise FileNotFoundError(
            f"No candidate of {key.source} {key.ds} was trained in run {parent_run_id} on split {split_id} "
            f"in {folder}: run pipeline_tasks.candidates.train_candidate first"
        )
    return current


def evaluation_path(settings: Settings, key: RunKey) -> Path:
    """Return the path of the day's evaluation."""
    return staging_folder(settings, key) / "evaluation.json"
