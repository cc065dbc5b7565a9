"""MLflow: the night's runs, the registry, and which version becomes champion."""
