"""A training with a child process that runs for minutes, so that a killed task has to end both.

python -m tests.dags.stubborn_training --pids=FILE
"""

import os
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    [pids] = [argument.removeprefix("--pids=") for argument in sys.argv if argument.startswith("--pids=")]
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    print("epoch 1", flush=True)
    Path(pids).with_suffix(".new").write_text(f"{os.getpid()} {helper.pid}")
    Path(pids).with_suffix(".new").rename(pids)
    time.sleep(300)
