"""Moves the alias `champion` to the version that the night's evaluation found worthy.

python -m pipeline_tasks.registry.promote_champion --source simulated_shop --date 2026-11-20
"""

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.registry.champion_checksums import record_champion
from pipeline_tasks.registry.promotion import read_evaluation
from pipeline_tasks.registry.registry import champion_version, client, registry
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser


def promote_champion(settings: Settings, night: RunKey) -> str:
    """Promote, or leave the champion as it is; return what was done, in one sentence.

    Raises:
        FileNotFoundError: the night was not evaluated.
        ValueError: the evaluation does not tell what the version's files are.
    """
    evaluation = read_evaluation(settings, night)
    version = f"{evaluation.model_name} version {evaluation.version}"
    if not evaluation.promote:
        present = champion_version(settings, night)
        stays = f"version {present.version} stays champion" if present else "there is still no champion"
        return f"{version} is not promoted, {stays}: " + "; ".join(evaluation.reasons)
    if not evaluation.sha256:
        raise ValueError(f"The evaluation of {version} is of an earlier Nightshelf: clear the task evaluate_candidates")
    # Before the alias moves: a version that is not recorded would be refused.
    record_champion(settings, night.source, evaluation.version, evaluation.sha256)
    client(settings).set_registered_model_alias(evaluation.model_name, registry().alias, evaluation.version)
    return f"{version} is champion: " + "; ".join(evaluation.reasons)


def main() -> None:
    """Run from the command line."""
    given = run_key_parser(__doc__).parse_args()
    print(promote_champion(settings(), parsed_run_key(given)))


if __name__ == "__main__":
    with job_errors():
        main()
