"""The descriptions of experiments, runs and models that MLflow shows, in Markdown.

Links are relative to MLflow's page, so that they hold at every address of the server.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipeline_tasks.config.promotion_rules import CHAMPION, Promotion
from pipeline_tasks.run_key import RunKey

if TYPE_CHECKING:
    import pandas as pd

NOTE: Final = "mlflow.note.content"
"""Tag of a run or an experiment that MLflow shows as its description."""
LONGEST: Final = 5_000
"""Characters of a description that MLflow stores for a model or a version; its database refuses more."""
_GENERATED: Final = ("Nightly training of ", "One run for each day")
"""How the generated description of an experiment begins, now and in earlier versions."""
_PROMOTED: Final = "\n\nPromoted on "
_TUNED: Final = {
    "frozen": "The text encoder stays as it was published.",
    "lora": "Adapters (LoRA) of the text encoder are tuned on this shop's log.",
    "last_layers": "The last layers of the text encoder are tuned on this shop's log.",
    "full": "The whole text encoder is tuned on this shop's log.",
}


def metric_name(name: str) -> str:
    """Return the name of a metric for MLflow, which does not allow ``@``."""
    return name.replace("@", "_at_")


def run_link(experiment_id: str, run_id: str, text: str, artifact: str = "") -> str:
    """Return a link to a run, or to one of its artifacts."""
    path = f"/artifacts/{artifact}" if artifact else ""
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id}{path})"


def version_link(model: str, version: str, text: str) -> str:
    """Return a link to a registered version."""
    return f"[{text}](#/models/{model}/versions/{version})"


def is_generated(note: str) -> bool:
    """Return whether the description of an experiment may be replaced: a person has not written it."""
    return not note or note.startswith(_GENERATED)


def experiment_note(source: str, model: str, champion: str | None) -> str:
    """Return the description of the source's experiment; `champion` is the number of the champion's version.

    MLflow shows the first line alone until a reader opens the rest.
    """
    serves = f"{version_link(model, champion, f'version {champion}')} of" if champion else "none yet;"
    return (
        f"Nightly training of the recommender of **{source}**. Champion: {serves} [{model}](#/models/{model}).\n\n"
        "- **Runs** named *night* and a date: one for each date. Its description has the comparison and the verdict.\n"
        "- **Candidates** are the runs below a night. Select them and press *Compare*; `best_validation/ndcg_at_10` "
        "decides which one is evaluated.\n"
        "- **Metrics** are grouped by what is before the slash. The group of a task holds the challenger's own "
        "metrics, the group *rivals* those of the champion and the baselines."
    )


def started_note(key: RunKey) -> str:
    """Return the description of a nightly run that is not evaluated yet."""
    return (
        f"Training for **{key.source}**, {key.ds}. The candidates are the runs below this one. The comparison and the "
        "verdict follow when the task `evaluate_candidates` has finished."
    )


def candidate_note(name: str, validation: Mapping[str, float], epoch: int, seconds: float, parent: str) -> str:
    """Return the description of a candidate's run; `parent` is a link to the nightly run."""
    rows = "\n".join(f"| {metric} | {value:.4f} |" for metric, value in validation.items())
    return (
        f"Candidate `{name}` of the {parent}. {_TUNED.get(name, '')}\n\n"
        f"Best epoch {epoch}, after {seconds:.0f} s of training. The candidate with the highest ndcg@10 on the "
        f"validation part is evaluated on the test part.\n\n| validation metric | value |\n|:--|--:|\n{rows}"
    )


def comparison_table(table: "pd.DataFrame", ours: str, rule: Promotion) -> str:
    """Return the task and metric of the rule as a Markdown table: a row for each scorer, best first.

    `table` is from `report_table`.
    """
    rows = table[table["task"] == rule.task].sort_values(rule.metric, ascending=False, kind="stable").to_dict("records")
    head = f"| | {rule.metric} | 95 % interval | challenger minus this | 95 % interval | p |\n|:--|--:|:-:|--:|:-:|--:|"
    return "\n".join([head, *(_comparison_row(row, ours, rule.metric) for row in rows)])


def _comparison_row(row: Mapping[Any, Any], ours: str, metric: str) -> str:
    name = str(row["scorer"])
    lead = "| | |"
    if name == ours:
        name = f"**{name}** (challenger)"
    else:
        lead = f"{row['ours_minus']:+.4f} | {row['ours_minus_low']:+.4f} to {row['ours_minus_high']:+.4f} | "
        lead += f"{row['ours_minus_p']:.4f} |"
    shown = f"**{name}**" if name == CHAMPION else name
    return f"| {shown} | {row[metric]:.4f} | {row['low']:.4f} to {row['high']:.4f} | {lead}"


def verdict_note(promote: bool, version: str) -> str:
    """Return the verdict of the promotion rule in one sentence; `version` is a link."""
    if promote:
        return f"**Verdict: promote.** The challenger, {version}, may become champion."
    return f"**Verdict: keep the champion.** The challenger, {version}, is not promoted."


def night_note(key: RunKey, verdict: str, table: str, task: str, reasons: Sequence[str], links: Sequence[str]) -> str:
    """Return the description of an evaluated nightly run: verdict, comparison, reasons and links."""
    return (
        f"Training for **{key.source}**, {key.ds}.\n\n{verdict}\n\n"
        f"### Comparison on {task}\n{table}\n\n### Reasons\n{_bullets(reasons)}\n\n### More\n{_bullets(links)}"
    )


def version_note(verdict: str, facts: Sequence[str], table: str, task: str, reasons: Sequence[str]) -> str:
    """Return the description of a registered version: verdict, what it was trained on, comparison and reasons."""
    return (f"{verdict}\n\n{_bullets(facts)}\n\n### Comparison on {task}\n{table}\n\n### Reasons\n{_bullets(reasons)}")[
        :LONGEST
    ]


def promoted_note(note: str, day: str, by: str) -> str:
    """Return the description of a version with the day of its promotion and who decided; an earlier one is replaced."""
    promoted = f"{_PROMOTED}{day} by {by}."
    return note.partition(_PROMOTED)[0][: LONGEST - len(promoted)] + promoted


def model_note(source: str, model: str, alias: str) -> str:
    """Return the description of the registered model: what it is, and how to query and serve it."""
    return f"""Recommender of **{source}**: histories in, items with scores out. The version with the alias `{alias}`
computes the nightly recommendations. Each version's description tells what it was trained on and how it compares.

### Query in Python
```python
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/{model}@{alias}")
history = pd.DataFrame(
    [{{"item_ids": ["ITEM"], "event_types": ["view"], "timestamps": [1795000000000000]}}]
)
print(model.predict(history, params={{"top_k": 10}}))
```
A row is one history, and empty lists are a new user. Times are epoch microseconds.

### Serve over HTTP
```sh
mlflow models serve -m "models:/{model}@{alias}" --env-manager local --port 5001
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d '
{{"dataframe_records":
  [{{"item_ids": ["ITEM"], "event_types": ["view"], "timestamps": [1795000000000000]}}],
 "params": {{"top_k": 10}}}}'
```
"""


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
