"""Joins the training processes, and writes the sockets that they listen on into FOLDER/sockets.json.

torchrun -m tests.pipeline_tasks.training.joined_sockets FOLDER
"""

import json
import sys
from pathlib import Path

import psutil
import torch

from pipeline_tasks.training.training_processes import join_processes

if __name__ == "__main__":
    with join_processes() as processes:
        total = torch.ones(1)
        processes.all_reduce([total])
        assert total.item() == processes.count
        if processes.rank == 0:
            torchrun = psutil.Process().parent()
            assert torchrun is not None
            everyone = [torchrun, *torchrun.children(recursive=True)]
            sockets = [one.laddr for process in everyone for one in process.net_connections("inet") if not one.raddr]
            Path(sys.argv[1], "sockets.json").write_text(json.dumps(sockets))
        processes.broadcast_decision(lambda: True)
