"""Heads beside the next item: one module per task, found by the name of the task (see binary_task)."""
