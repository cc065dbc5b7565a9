"""Spark jobs: one spark-submit entry point per module here, and the transforms that they use in the packages."""
