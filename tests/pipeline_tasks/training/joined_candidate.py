"""Runs train_candidate under torchrun in float32; in bfloat16, the parts of a batch add up to the whole only to .01.

torchrun --standalone --nproc-per-node 2 -m tests.pipeline_tasks.training.joined_candidate --source … --candidate …
"""

from unittest.mock import patch

from pipeline_tasks.candidates.train_candidate import main

if __name__ == "__main__":
    with patch("pipeline_tasks.training.fit_two_tower.has_bfloat16", return_value=False):
        main()
