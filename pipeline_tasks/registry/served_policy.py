"""The repeat policy by which a version was evaluated and is served."""

import json
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy, choose_repeat_policy
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

REPEAT_POLICY: Final = "repeat_policy"
"""Key of the policy in the facts of a saved recommender and in the meta.json of its vectors."""


def repeat_policy_of(facts: dict[str, Any], log: Interactions, scoring: ScoringSettings) -> RepeatPolicy:
    """Return the policy in a version's facts; for a version without one, the policy that the log suggests."""
    if REPEAT_POLICY in facts:
        return RepeatPolicy.from_facts(facts[REPEAT_POLICY])
    return choose_repeat_policy(log, scoring)


def excluded_events(facts: dict[str, Any], histories: Interactions) -> Interactions:
    """Return the events of `histories` with items that the policy in a version's facts always excludes."""
    types = RepeatPolicy.from_facts(facts[REPEAT_POLICY]).excluded_types if REPEAT_POLICY in facts else ()
    return histories.only(np.isin(histories.types, [CHOSEN_TYPES.index(name) for name in types]))


def settings_tag(scoring: ScoringSettings) -> str:
    """Return the settings that determine a policy, as the value of a version's tag."""
    chosen = scoring.model_dump(include={"repeat_policy", "exclude_purchased_days"})
    return json.dumps(chosen, sort_keys=True)
