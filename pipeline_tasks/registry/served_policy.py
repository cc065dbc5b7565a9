"""The repeat policy that a version was judged by, and is served by."""

import json
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy, choose_repeat_policy
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

REPEAT_POLICY: Final = "repeat_policy"
"""Its name among the facts of a saved recommender, and in the meta of its vectors."""


def policy_of(facts: dict[str, Any], log: Interactions, scoring: ScoringSettings) -> RepeatPolicy:
    """Return the policy among a version's facts; of a version registered before there were policies, what the log says
    tonight."""
    if REPEAT_POLICY in facts:
        return RepeatPolicy.from_facts(facts[REPEAT_POLICY])
    return choose_repeat_policy(log, scoring)


def excluded_events(facts: dict[str, Any], histories: Interactions) -> Interactions:
    """Return the events of `histories` with items that the policy among a version's facts excludes for good."""
    types = RepeatPolicy.from_facts(facts[REPEAT_POLICY]).excluded_types if REPEAT_POLICY in facts else ()
    return histories.only(np.isin(histories.types, [CHOSEN_TYPES.index(name) for name in types]))


def settings_tag(scoring: ScoringSettings) -> str:
    """Return the settings that a policy follows from, as a version's tag."""
    chosen = scoring.model_dump(include={"repeat_policy", "exclude_purchased_days"})
    return json.dumps(chosen, sort_keys=True)
