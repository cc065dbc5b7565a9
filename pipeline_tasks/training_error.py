"""The error that is raised when a model cannot be trained."""


class TrainingError(ValueError):
    """Training cannot start or has failed. The message names the remedy."""
