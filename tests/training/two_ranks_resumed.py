"""Script for each rank of `test_two_ranks.py`: train until stopped, or resume."""

import os
import signal
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback
from resume_fakes import Loader, Noisy
from training_fakes import Batches, cpu_trainer, tiny_module

from detkit.errors import Stopped
from detkit.runs.training_position import Position, read_position
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.ema import WeightAverage
from detkit.training.fit import fit
from detkit.training.trainer import seed_everything

IMAGES = 100  # 25 batches of two ranks with two images each


class SignalToOneRank(Callback):
    """Asks one rank to stop, early in the second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_rank == 1 and trainer.global_step == 30:
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    folder, (what, strategy) = Path(sys.argv[1]), sys.argv[2:]
    last = folder / "checkpoints" / "last.ckpt"
    resume = str(last) if what == "resume" else None
    start = read_position(resume) if resume else Position()
    callbacks = [Checkpoints(run_folder=str(folder)), WeightAverage(decay=0.5)]
    if what == "be stopped":
        callbacks.append(SignalToOneRank())
    trainer = cpu_trainer(
        folder, devices=2, strategy=strategy, max_epochs=3, log_every=1, callbacks=callbacks
    )
    seed_everything(0)
    module = tiny_module(detector=Noisy())
    try:
        fit(module, trainer, Loader(start[:2], images=IMAGES), Batches(1), resume=resume)
    except Stopped:
        assert what == "be stopped"
        assert read_position(last) == (1, 20, 4)
    torch.distributed.destroy_process_group()
