"""One spark-submit entry point per file: pure DataFrame -> DataFrame functions and a three-line ``main``."""
