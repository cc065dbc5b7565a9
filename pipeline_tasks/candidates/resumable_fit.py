"""Stage 2 of a candidate from its first epoch, or from where an attempt before this one was cut short."""

from pathlib import Path

from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint, read_training
from pipeline_tasks.training_error import TrainingError


def resumable_fit(trainer: TwoTowerTrainer, best: BestEpoch, checkpoint: TrainingCheckpoint) -> str | None:
    """Train, or go on, with a checkpoint after every epoch; return what ended it before its time, None for nothing.

    A loss that is no number ends the training. With a good epoch before it, the candidate goes on as it was then, to be
    judged as any other; with none, nobody has anything to judge.
    """

    def after(epoch: int, loss: float) -> bool:
        goes_on = best.after(loss, trainer.recommender, micro_batch=trainer.gradient.micro_batch)
        checkpoint.write(trainer, best)
        return goes_on

    processes = trainer.processes
    processes.agree(lambda: checkpoint.resume(trainer, best))
    try:
        if processes.agree(lambda: best.goes_on):
            trainer.fit(after)
    except TrainingError as error:
        if not best.epoch:
            raise
        print(f"{error}; the candidate goes on as it was after epoch {best.epoch}, its best so far", flush=True)
        return str(error)
    return None


def fit_along(trainer: TwoTowerTrainer, checkpoint: Path) -> None:
    """Do what every process but the first does of `resumable_fit`; all see the same file."""
    processes = trainer.processes
    if processes.agree(lambda: False):
        trainer.restore(*read_training(checkpoint))
    try:
        if processes.agree(lambda: False):
            trainer.fit()
    except TrainingError:
        # As in the first process, which says so: it goes on with an epoch that was good.
        if not trainer.epoch:
            raise
