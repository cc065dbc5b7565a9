"""Stage 2 of a candidate, resumed from the checkpoint of an interrupted attempt if there is one."""

from pathlib import Path

from pipeline_tasks.errors import TrainingError
from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint, read_training


def resumable_fit(trainer: TwoTowerTrainer, best: BestEpoch, checkpoint: TrainingCheckpoint) -> str | None:
    """Train, or resume, with a checkpoint after every epoch; return why the training stopped early, or None.

    A loss that is not finite ends the training. After at least one good epoch, the candidate keeps its best epoch.

    Raises:
        TrainingError: the first epoch failed, so there is no model to keep.
    """

    def after(epoch: int, loss: float) -> bool:
        improving = best.after(loss, trainer.recommender, micro_batch=trainer.gradient.micro_batch)
        checkpoint.write(trainer, best)
        return improving

    processes = trainer.processes
    processes.broadcast_decision(lambda: checkpoint.resume(trainer, best))
    try:
        if processes.broadcast_decision(lambda: best.should_continue):
            trainer.fit(after)
    except TrainingError as error:
        if not best.epoch:
            raise
        print(f"{error}; the candidate keeps its best epoch so far, epoch {best.epoch}", flush=True)
        return str(error)
    return None


def fit_worker(trainer: TwoTowerTrainer, checkpoint: Path) -> None:
    """Run the share of `resumable_fit` of every process but the first; all processes read the same file."""
    processes = trainer.processes
    if processes.broadcast_decision(lambda: False):
        trainer.restore(*read_training(checkpoint))
    try:
        if processes.broadcast_decision(lambda: False):
            trainer.fit()
    except TrainingError:
        # The first process prints the error and keeps its best epoch.
        if not trainer.epoch:
            raise
