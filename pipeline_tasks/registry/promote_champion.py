"""Moves the alias `champion` to the version of the day's evaluation, where that is to be promoted.

python -m pipeline_tasks.registry.promote_champion --source simulated_shop --date 2026-11-20
"""

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.registry.champion_checksums import record_champion
from pipeline_tasks.registry.promotion import read_evaluation
from pipeline_tasks.registry.registry import champion_version, client, registry
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser


def promote_champion(settings: Settings, key: RunKey) -> str:
    """Promote the version or keep the champion; return what was done, in one sentence.

    Raises:
        FileNotFoundError: the day was not evaluated.
        ValueError: the evaluation holds no SHA-256 of the model files.
    """
    evaluation = read_evaluation(settings, key)
    version = f"{evaluation.model_name} version {evaluation.version}"
    if not evaluation.promote:
        present = champion_version(settings, key)
        champion = f"version {present.version} stays champion" if present else "there is still no champion"
        return f"{version} is not promoted, {champion}: " + "; ".join(evaluation.reasons)
    if not evaluation.sha256:
        raise ValueError(f"The evaluation of {version} is of an earlier Nightshelf: clear the task evaluate_candidates")
    # Recorded before the alias moves, because a version that is not recorded is refused.
    record_champion(settings, key.source, evaluation.version, evaluation.sha256)
    client(settings).set_registered_model_alias(evaluation.model_name, registry().alias, evaluation.version)
    return f"{version} is champion: " + "; ".join(evaluation.reasons)


def main() -> None:
    """Run from the command line."""
    arguments = run_key_parser(__doc__).parse_args()
    print(promote_champion(settings(), parsed_run_key(arguments)))


if __name__ == "__main__":
    with job_errors():
        main()
