"""Writes the environment that it was started with as JSON: a Spark job's driver, or a training."""

import argparse
import json
import os
from pathlib import Path

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=Path)
    parser.parse_known_args()[0].to.write_text(json.dumps(dict(os.environ)))
