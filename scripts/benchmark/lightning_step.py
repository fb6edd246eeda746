"""Compare a training step of `detkit train` with a bare loop around the same detector.

Ours is Lightning's Trainer with DetectionModule, the callbacks of conf/callbacks/default.yaml and
the metrics file, all with their defaults, in the first epoch, where BatchCheck looks at each batch.
The loop holds nothing but the loss, backward, clipping, the optimizer and its schedule. Both
sides train on the same batches, held in memory, in one process and take turns: whenever the
Trainer asks for the first batch of its next chunk, the loop trains a chunk of its own before it
gets that batch. Afterwards the weights of both sides have to be equal. One thread computes, and its
processor time is taken, in which programs beside it do not count; neither side waits for anything.
"""

from __future__ import annotations

import copy
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from measure import ROUNDS, Comparison, report
from sides import batch_of, random_targets
from torch.optim.lr_scheduler import LambdaLR

import detkit
from detkit import assembly
from detkit.assembly import Classes
from detkit.structures import Batch
from detkit.training.fit import fit
from detkit.training.module import DetectionModule
from detkit.training.trainer import make_trainer, prepare_detector

PAGE = "yolo_free_n"  # a small detector, as what is spent beside it shows most
SIZE, IMAGES, OBJECTS, CLASSES, BATCHES = 320, 8, 10, 20, 8
CHUNK = 10  # steps of a side before it is the other's turn
STEPS = (ROUNDS + 1) * CHUNK + 1  # a chunk to warm up, those measured, and one that ends the last
AT_MOST = 1.02
_FOR_THE_DETECTOR = ("channels_last", "compile")


def random_batch() -> Batch:
    """Noise with objects of 20 to 200 pixels."""
    noise = torch.randint(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=torch.uint8)
    return batch_of(noise, random_targets(IMAGES, OBJECTS, CLASSES, SIZE))


class BareLoop:
    """The detector, its optimizer with clipping, and its schedule; nothing else."""

    def __init__(self, detector: Any, config: dict[str, Any]) -> None:
        """Take its own detector."""
        self.detector = detector
        factory = assembly.build("optimizer", config["optimizer"], {}, ("optimizer",))
        schedule = assembly.build("scheduler", config["scheduler"], {}, ("scheduler",))
        self.optimizer = factory(detector, IMAGES)
        self.largest_norm = config["trainer"]["gradient_clip_norm"]
        self.schedule = LambdaLR(self.optimizer, lambda step: schedule(min(step, STEPS - 1), STEPS))

    def step(self, batch: Batch) -> None:
        """Train on a batch."""
        self.optimizer.zero_grad()
        losses = self.detector.loss(batch).items()
        torch.stack([v.float() for k, v in losses if k.startswith("loss/")]).sum().backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, self.largest_norm)
        self.optimizer.step()
        self.schedule.step()


class Turns:
    """The Trainer's loader; lets the loop train between chunks, and times both."""

    def __init__(self, batches: Sequence[Batch], loop: BareLoop) -> None:
        """Take the batches, which are reused."""
        self.batches = batches
        self.loop = loop
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def __len__(self) -> int:
        """Steps of the training."""
        return STEPS

    def __iter__(self) -> Iterator[Batch]:
        """Give the Trainer its batches."""
        started = 0.0
        for number in range(len(self)):
            if number % CHUNK == 0:
                if number:
                    self.ours.append((time.process_time() - started) / CHUNK)
                self._let_the_loop_train(range(number, min(number + CHUNK, len(self))))
                started = time.process_time()
            yield self._batch(number)

    def _batch(self, number: int) -> Batch:
        return self.batches[number % len(self.batches)]

    def _let_the_loop_train(self, numbers: range) -> None:
        started = time.process_time()
        for number in numbers:
            self.loop.step(self._batch(number))
        if numbers.stop < len(self):
            self.theirs.append((time.process_time() - started) / len(numbers))


def train_both(folder: str) -> Turns:
    """Train on both sides and return their times; the first ones do not count.

    Raises:
        RuntimeError: The weights are not equal afterwards.
    """
    config = detkit.compose([f"model={PAGE}", "trainer.accelerator=cpu"]).to_dict()
    classes = Classes([str(i) for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    wiring = {**classes.wiring(), "run_folder": folder, "seed": 0}
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False).train()
    prepare_detector(detector, **{name: config["trainer"][name] for name in _FOR_THE_DETECTOR})
    turns = Turns(
        [random_batch() for _ in range(BATCHES)],
        BareLoop(copy.deepcopy(detector), config),
    )
    module = DetectionModule(
        detector=detector,
        optimizer=assembly.build("optimizer", config["optimizer"], wiring, ("optimizer",)),
        schedule=assembly.build("scheduler", config["scheduler"], wiring, ("scheduler",)),
        metric=assembly.build_metric(config, classes),
        checkpoint_record={"class_names": classes.names},
        batch_size=IMAGES,
    )
    callbacks = assembly.build_labelled("callback", config["callbacks"], wiring, ("callbacks",))
    settings = {k: v for k, v in config["trainer"].items() if k not in _FOR_THE_DETECTOR}
    trainer = make_trainer(
        run_folder=folder,
        callbacks=list(callbacks.values()),
        loggers=[],
        **{**settings, "max_epochs": 1},
    )
    gc.freeze()  # as the command does once everything is imported
    fit(module, trainer, turns)
    other = turns.loop.detector.state_dict()
    differing = [n for n, value in detector.state_dict().items() if not value.equal(other[n])]
    if differing:
        raise RuntimeError(f"after {STEPS} steps weights differ: {', '.join(differing[:5])}")
    return turns


def compared() -> Comparison:
    """The row of both sides."""
    with tempfile.TemporaryDirectory() as folder:
        turns = train_both(folder)
    ours, theirs = turns.ours[1:], turns.theirs[1:]
    more = statistics.median(a - b for a, b in zip(ours, theirs, strict=True)) * 1000
    return Comparison(
        f"training step of {PAGE}, {SIZE} px, batch {IMAGES}",
        "bare loop",
        AT_MOST,
        "s",
        ours,
        theirs,
        f"processor time of one thread; a round is {CHUNK} steps of either side; "
        f"{more:+.1f} ms a step; equal weights after {STEPS} steps",
    )


def main() -> None:
    """Compare both."""
    torch.set_num_threads(1)
    report([compared()])


if __name__ == "__main__":
    main()
