"""The report of made-up times."""

from __future__ import annotations

import json
from dataclasses import replace

from detkit.benchmark.machine import Machine
from detkit.benchmark.operations import HostRead, OperationCount
from detkit.benchmark.report import Findings
from detkit.benchmark.stepping import StepTimes
from detkit.benchmark.timing import Times
from detkit.benchmark.verdict import Settings
from detkit.training.workload import Extent

ONE = Times((0.001, 0.002, 0.003))
FOUND = Findings(
    subject="a run",
    machine=Machine(
        cores=1, threads=1, device="cpu", name="C", has_gpu=False, memory=None, half=None
    ),
    settings=Settings(
        workers=1, precision=32, compile=False, accelerator="auto", devices=1, size_key=None
    ),
    size=(96, 128),
    batch_size=4,
    loader=ONE,
    sample=ONE,
    decoding=ONE,
    step=StepTimes(Times((0.1,)), Times((0.2,)), Times((0.1,)), accumulated=1),
    training=Times((0.1,)),
    network=Times((0.01,)),
    prediction=Times((0.05,)),
    memory=2**29,
    step_operations=OperationCount(1234, (HostRead("nonzero", "detkit/a.py:1"),) * 2, ()),
    prediction_operations=OperationCount(56, (), (HostRead("copy to the host", "b.py:2"),)),
    remarks=("all is made up.",),
    extent=Extent(
        epochs=12, batches=50, batch_size=4, validate_every=3, minutes=None, validation_images=120
    ),
)


def test_rows_have_median_spread_and_rate() -> None:
    lines = FOUND.text().splitlines()
    assert lines[0] == "a run"
    assert lines[1].startswith("cpu: C (1 thread); 1 CPU core; torch ")
    rows = {line[:38].strip(): line[38:].split() for line in lines}
    assert rows["loader, 1 worker"] == ["2.00", "ms", "1.00", "ms", "3.00", "ms", "500"]
    assert "training step, 4 images in 96 x 128" in lines
    assert rows["whole step"] == ["400.0", "ms", "400.0", "ms", "400.0", "ms", "10"]
    assert rows["post-processing (the rest)"] == ["40.0", "ms"]
    assert rows["training step without optimizer"] == ["1,234", "2"]
    assert rows["prediction of one image"] == ["56", "1"]
    assert "peak memory of this process while training: 0.50 GiB" in lines


def test_json_has_seconds_and_the_lines_that_wait() -> None:
    plain = json.loads(json.dumps(FOUND.as_plain()))
    assert plain["seconds"]["backward"] == [0.2]
    assert plain["training_step"] == {
        "operations": 1234,
        "host_reads": 2,
        "copies": 0,
        "lines": ["2 x nonzero, detkit/a.py:1"],
    }
    assert plain["prediction"]["copies"] == 1


def test_verdict_and_remarks_follow() -> None:
    text = FOUND.text()
    assert (
        "the training step is the slowest stage: 10 images/s, while the loader delivers 500" in text
    )
    assert text.endswith("\n\nnote: all is made up.")


def test_times_that_differ_much_are_remarked() -> None:
    step = StepTimes(Times((0.1, 0.3)), Times((0.1, 0.3)), Times((0.1, 0.3)), accumulated=1)
    assert (
        "note: the training step took 300.0 ms to 900.0 ms: something else runs on this machine, "
        "or the images differ in size; steps=6 gives steadier numbers."
    ) in replace(FOUND, step=step).text()
    assert "took" not in FOUND.text()


def test_the_whole_training_is_estimated() -> None:
    assert (  # 12 x 50 x 4 images of 0.1 s, and 5 x 120 of 0.05 s
        "the whole training: 12 epochs of 50 batches and 4 validations of 120 images, about "
        "4 min 30 s (30 s of that for validation)"
    ) in FOUND.text().splitlines()
