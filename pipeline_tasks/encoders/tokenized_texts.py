"""Texts that are tokenized once and returned in groups of similar length, to avoid padding."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.encoders.text_encoder import TextEncoder, count_cut_texts, report_cut_texts

_PADDING = 0.05
"""Largest share of padding in a group; beyond it the group gets smaller."""


class TokenizedTexts:
    """Tokens of the distinct texts among n texts. `text_of` (n,) is the index of each text's distinct text."""

    def __init__(self, encoder: TextEncoder, texts: list[str]) -> None:
        distinct = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(distinct)}
        self.text_of = np.array([place[text] for text in texts], dtype=np.int64)
        tokens = encoder.tokenizer(distinct, truncation=True, max_length=encoder.limit)
        report_cut_texts(encoder.name, count_cut_texts(tokens, encoder.limit), len(distinct), encoder.limit)
        found = tokens["input_ids"]
        self.lengths = np.array([len(tokens) for tokens in found], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._tokens = np.concatenate(found).astype(np.int64)
        self._padding = int(encoder.tokenizer.pad_token_id or 0)
        self._device = encoder.model.device

    def by_length(self, distinct: Integers) -> Integers:
        """Return the indices `distinct`, sorted by the length of their texts, shortest first."""
        return np.asarray(distinct[np.lexsort((distinct, self.lengths[distinct]))])

    def groups(self, ordered: Integers, most: int) -> Iterator[dict[str, Tensor]]:
        """Yield token ids and masks of the distinct texts `ordered` (shortest first), in that order.

        A group holds at most `most` texts, and at least a quarter of that. In between, it ends before padding is
        more than 5 %.
        """
        start = 0
        while start < len(ordered):
            lengths = self.lengths[ordered[start : start + most]]
            filled = np.cumsum(lengths) / (lengths * np.arange(1, len(lengths) + 1))
            tight = np.flatnonzero(filled >= 1 - _PADDING)
            size = min(len(lengths), max(int(tight[-1]) + 1, most // 4))
            yield self._group(ordered[start : start + size])
            start += size

    def _group(self, distinct: Integers) -> dict[str, Tensor]:
        lengths = self.lengths[distinct]
        place = np.arange(lengths.max())
        real = place < lengths[:, None]
        tokens = self._tokens[np.where(real, self._starts[distinct][:, None] + place, 0)]
        ids = torch.from_numpy(np.where(real, tokens, self._padding)).to(self._device)
        return {"input_ids": ids, "attention_mask": torch.from_numpy(real.astype(np.int64)).to(self._device)}
