"""A training that ends as one for which memory was too small."""

import os
import signal

if __name__ == "__main__":
    print("Loading weights: 100%", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
