"""A training that is killed as if memory was full."""

import os
import signal

if __name__ == "__main__":
    print("Loading weights: 100%", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
