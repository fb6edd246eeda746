"""Script for each rank of `test_two_ranks.py`: train, validate uneven shards, report the result."""

import json
import os
import sys
from pathlib import Path

import torch
from training_fakes import Batches, cpu_trainer, tiny_module

from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.ema import WeightAverage
from detkit.training.callbacks.non_finite import NonFinite
from detkit.training.fit import fit
from detkit.training.sharding import whole

if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    module = tiny_module()
    shards = [Batches(*numbers) for numbers in json.loads(sys.argv[2])]
    checkpoints = Checkpoints(run_folder=str(folder))
    trainer = cpu_trainer(
        folder,
        devices=2,
        strategy=sys.argv[3],
        max_epochs=2,
        callbacks=[
            WeightAverage(decay=0.5),
            NonFinite(run_folder=str(folder), check_every=3),
            checkpoints,
        ],
    )
    fit(module, trainer, Batches(rank, rank + 2), shards[rank])
    report = {
        "scores": {key: float(value) for key, value in trainer.callback_metrics.items()},
        "images": sorted(module.metric.scores),
        "best": checkpoints.best_score,
        "rate": trainer.optimizers[0].param_groups[0]["initial_lr"],
        "weight": whole(module.detector.head.weight.detach()).tolist(),
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(report))
    torch.distributed.destroy_process_group()
