"""MLflow: the runs of a nightly run, the model registry, and the promotion of a version to champion."""
