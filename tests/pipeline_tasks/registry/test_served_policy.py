import numpy as np

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.registry.retraining import _outdated
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, excluded_events, repeat_policy_of, settings_tag
from tests.pipeline_tasks.logs import log_of

NEVER = log_of({f"u{n}": [(n, 1), (n + 1, 2)] for n in range(9)}, "rating")


def test_a_version_is_served_by_the_policy_of_its_evaluation() -> None:
    evaluated = RepeatPolicy((), 30, 0.4)
    now = ScoringSettings(repeat_policy={"rating": "excluded"}, exclude_purchased_days=5)
    assert repeat_policy_of({REPEAT_POLICY: evaluated.as_facts()}, NEVER, now) == evaluated


def test_a_version_without_a_policy_follows_the_log() -> None:
    assert repeat_policy_of({}, NEVER, ScoringSettings()).excluded_types == ("purchase", "rating")


def test_a_version_excludes_the_events_of_its_policy() -> None:
    facts = {REPEAT_POLICY: RepeatPolicy(("rating",)).as_facts()}
    assert np.array_equal(excluded_events(facts, NEVER).items, NEVER.items)
    assert len(excluded_events(facts, log_of({"ann": [(0, 1)]}, "view")).items) == 0
    assert len(excluded_events({}, NEVER).items) == 0


def test_a_changed_setting_makes_a_retrain_due() -> None:
    changed = ScoringSettings(repeat_policy={"rating": "allowed"})
    tags = {"repeat_settings": settings_tag(ScoringSettings())}
    assert _outdated(tags, Settings(scoring=ScoringSettings())) is None
    assert _outdated({}, Settings(scoring=changed)) is None, "a version of a Nightshelf without policies"
    assert _outdated(tags, Settings(scoring=changed)) == (
        'was evaluated with {"exclude_purchased_days": 30, "repeat_policy": {}}, the settings are now '
        '{"exclude_purchased_days": 30, "repeat_policy": {"rating": "allowed"}}'
    )
