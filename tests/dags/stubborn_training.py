"""A training that starts a helper of its own and would go on for minutes: what a killed task must end.

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
