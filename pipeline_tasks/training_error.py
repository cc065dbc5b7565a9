"""What is raised when a model cannot be trained."""


class TrainingError(ValueError):
    """Training cannot start, or went wrong; the message says what to do."""
