"""What a model reads of users as files: reading it runs nobody's code. No user is in them, and no rare query."""

import json
from pathlib import Path

import numpy as np

from pipeline_tasks.data.profile_values import ProfileValues
from pipeline_tasks.models.two_tower.user_content import NOTHING, QueryVectors, UserContent


def save_users(content: UserContent, folder: Path) -> None:
    """Write profile.json, queries.json and query_vectors.npy into `folder`; nothing where nothing is read."""
    if not (len(content.profile) or content.queries.are_used):
        return
    folder.mkdir(exist_ok=True)
    about = {"pairs": content.profile.pairs, "edges": content.profile.edges}
    (folder / "profile.json").write_text(json.dumps(about, indent=1))
    kept = content.queries.kept()
    (folder / "queries.json").write_text(json.dumps(kept.texts, indent=0))
    np.save(folder / "query_vectors.npy", kept.raw)


def load_users(folder: Path) -> UserContent:
    """Read what `save_users` wrote."""
    if not folder.is_dir():
        return NOTHING
    profile = ProfileValues(**json.loads((folder / "profile.json").read_text()))
    texts = json.loads((folder / "queries.json").read_text())
    raw = np.load(folder / "query_vectors.npy", allow_pickle=False)
    return UserContent(profile, QueryVectors(texts, raw, np.ones(len(texts), dtype=np.bool_)))
