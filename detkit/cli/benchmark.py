"""`detkit benchmark`: measure how fast a configuration loads, trains and predicts here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from detkit.api.training_config import new_training
from detkit.benchmark.exported import ExportedSpeed, measure_exported
from detkit.benchmark.measuring import measure
from detkit.cli.exported_words import exported_checkpoint, exported_options, number_of
from detkit.cli.flags import without
from detkit.config.derived.image_size import anchor_note
from detkit.config.lost_values import lost_values
from detkit.config.override_text import value_of
from detkit.data.batch_size import known_batch_size
from detkit.errors import UserError
from detkit.inference.engines.opening import open_engine
from detkit.inference.sources import find_images
from detkit.processes.failures import plain_worker_failures
from detkit.runs.log_file import log_to
from detkit.weights.start import check_start

HELP = """
usage: detkit benchmark [--json] [KEY=VALUE ...]
       detkit benchmark [--json] ckpt=MODEL.onnx [source=PHOTOS] [batch_size=1] [device=auto]

Measures the speed of a training on this machine: images/s of the loader, the parts of a training
step, loader and step together, and the prediction of one image. Then estimates the length of the
whole training, for the images and classes of data.path, and names the slowest stage and the keys
that could make it faster here. Takes the overrides of `detkit train`; writes nothing.

Also counts the operations of a training step and of a prediction, and their host reads: how often
the host waits for a value from the device, which a GPU spends idle. The CPU counts them too.

An exported file (.onnx, .xml or .pt2) is measured from the image file to the boxes.

  detkit benchmark model=fcos data.path=DATA
  detkit benchmark model=fcos data.batch_size=16 data.workers=8 trainer.precision=bf16
  detkit benchmark experiment=small_data data.path=DATA steps=30
  detkit benchmark weights=RUN data.path=DATA     post-processing with a trained detector
  detkit benchmark ckpt=demo.onnx source=PHOTOS   an exported file

--json             all measurements as JSON, with the lines of code that cause host reads
steps=N            repetitions of each measurement after 3 warm-up steps (10); shows the median

Steps are timed with batches already on the device, and the device is synchronised before the clock
is read. Only one device is measured. Image files come from the disk or the system's file cache.
"""

_STEPS = 10


def run(arguments: list[str]) -> int:
    """Measure, and print the report."""
    arguments, flags = without(arguments, "--json")
    if (file := exported_checkpoint(arguments)) is not None:
        speed = _exported_speed(file, arguments)
        print(json.dumps(speed.as_plain(), indent=2) if flags else speed.text())
        return 0
    if value_of(arguments, "ckpt") not in (None, "null"):
        raise UserError(
            "ckpt=... resumes a run, but detkit benchmark trains none: remove it; weights=RUN "
            "measures the model of a run."
        )
    training = new_training(arguments, root="benchmark")
    config = training.config
    known_batch_size(config["data"]["batch_size"])
    for line in training.notes:
        print(line, file=sys.stderr)
    for line in [*lost_values(training.composed), *anchor_note(config, arguments)]:
        print(f"note: {line}", file=sys.stderr)
    check_start(config)
    log_to(None)
    with plain_worker_failures():
        findings = measure(config)
    print(json.dumps(findings.as_plain(), indent=2) if flags else findings.text())
    return 0


def _exported_speed(file: Path, arguments: list[str]) -> ExportedSpeed:
    keys = ("source", "batch_size", "steps", "device")
    values = exported_options("benchmark", file, arguments, keys)
    batch_size, steps = number_of(values, "batch_size", 1), number_of(values, "steps", _STEPS)
    paths = find_images(values["source"]) if "source" in values else []
    engine = open_engine(file, values.get("device", "auto"))
    return measure_exported(file, engine, paths, batch_size=batch_size, steps=steps)
