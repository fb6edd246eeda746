"""The slowest stage and the advice, with made-up numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detkit.benchmark.machine import Machine
from detkit.benchmark.verdict import Rates, Settings, rate, size_key, verdict

SIZE = "augmentation.train.resize.short_side"
CPU = Machine(cores=8, threads=4, device="cpu", name="C", has_gpu=False, memory=None, half=None)
GPU = Machine(
    cores=16, threads=16, device="cuda", name="G", has_gpu=True, memory=80 * 2**30, half="bf16"
)
SETTINGS = Settings(
    workers=2, precision=32, compile=False, accelerator="auto", devices=1, size_key=(SIZE, 640)
)
# 8 images in 0.1 s are 80 images/s; the loader delivers more.
RATES = Rates(
    loader=400.0,
    together=80.0,
    sample=0.02,
    decoding=0.005,
    forward=0.03,
    backward=0.06,
    optimizer=0.01,
    whole=0.1,
    batch_size=8,
    longest_side=640,
    memory=None,
)
STARVED = replace(RATES, loader=40.0, together=40.0)
ON_GPU = replace(RATES, memory=60 * 2**30)


def test_a_loader_that_is_too_slow_is_named_with_the_workers_that_the_step_needs() -> None:
    heading, workers, transforms = verdict(replace(STARVED, sample=0.1), SETTINGS, GPU)
    assert heading == (
        "the loader is the slowest stage: 40 images/s, while the training step could take 80:"
    )
    assert workers == "  - data.workers=8 (now 2; 16 cores here)"
    assert transforms.startswith(
        "  - fewer or cheaper transforms in augmentation.train: they take 95.0"
    )


def test_workers_are_raised_by_one_at_least_and_to_the_free_cores_at_most() -> None:
    assert "data.workers=3 " in verdict(STARVED, SETTINGS, GPU)[1]
    assert "data.workers=4 " in verdict(replace(STARVED, sample=1.0), SETTINGS, CPU)[1]
    shared = replace(SETTINGS, devices=4)
    assert "data.workers=4 " in verdict(replace(STARVED, sample=1.0), shared, GPU)[1]


def test_more_workers_are_not_advised_where_no_core_is_free() -> None:
    on_cpu = verdict(STARVED, replace(SETTINGS, workers=4), CPU)[1]
    assert on_cpu.endswith("8 CPU cores; the step uses 4 of them: more workers would not help")
    on_gpu = verdict(STARVED, replace(SETTINGS, workers=16), GPU)[1]
    assert on_gpu.endswith("16 CPU cores: more workers would not help")


def test_smaller_images_are_advised_where_decoding_takes_most() -> None:
    shown = verdict(replace(STARVED, decoding=0.015), SETTINGS, GPU)[2]
    assert (
        shown == "  - store smaller images: decoding one takes 15.0 ms of the 20.0 ms of a sample"
    )


def test_a_slow_step_is_named_with_its_largest_part() -> None:
    heading = verdict(RATES, SETTINGS, CPU)[0]
    assert heading == (
        "the training step is the slowest stage: 80 images/s, while the loader delivers 400; "
        "backward takes 60% of it:"
    )
    assert (
        "forward and loss take 57%"
        in verdict(replace(RATES, forward=0.093, whole=0.1), SETTINGS, CPU)[0]
    )


def test_advice_for_a_gpu_names_available_settings() -> None:
    advice = verdict(ON_GPU, SETTINGS, GPU)[1:]
    assert [line.split(" (")[0] for line in advice] == [
        "  - trainer.precision=bf16",
        "  - trainer.compile=true",
        f"  - fewer pixels: {SIZE}=480",
    ]
    tuned = replace(SETTINGS, precision="bf16", compile=True, size_key=None)
    assert verdict(ON_GPU, tuned, GPU)[1:] == [
        "  - a smaller model; detkit plan model=A,B compares their cost"
    ]
    assert "precision=16 " in verdict(ON_GPU, SETTINGS, replace(GPU, half=16))[1]


def test_a_larger_batch_is_advised_where_most_memory_is_free() -> None:
    advice = verdict(replace(ON_GPU, memory=8 * 2**30), SETTINGS, GPU)
    assert "  - data.batch_size=16 (now 8; a step holds 8.0 of 80 GiB); mind the learning rate" in (
        advice
    )
    assert not any("batch_size" in line for line in verdict(ON_GPU, SETTINGS, GPU))


def test_a_cpu_without_bf16_is_advised_neither_that_nor_compiling() -> None:
    text = "\n".join(verdict(RATES, SETTINGS, replace(CPU, threads=8)))
    assert "precision" not in text
    assert "compile" not in text
    assert "threads" not in text


def test_a_cpu_is_advised_its_threads_and_its_bf16() -> None:
    advice = verdict(RATES, SETTINGS, replace(CPU, half="bf16"))
    assert advice[1].startswith("  - trainer.precision=bf16 (now 32;")
    assert advice[2].startswith("  - more threads: PyTorch computes with 4 on 8 CPU cores")


def test_an_unused_gpu_comes_first() -> None:
    advice = verdict(RATES, replace(SETTINGS, accelerator="cpu"), replace(CPU, has_gpu=True))[1:]
    assert advice == ["  - trainer.accelerator=gpu (now cpu; PyTorch finds a GPU here)"]


def test_an_optimizer_that_takes_long_is_advised_fewer_steps() -> None:
    advice = "\n".join(verdict(replace(RATES, optimizer=0.05), SETTINGS, CPU))
    assert "the optimizer takes 50% of a step, regardless of the batch size" in advice


def test_pixels_are_saved_only_where_the_key_decides_over_them() -> None:
    for rates, key in ((replace(RATES, longest_side=128), 640), (RATES, 320)):
        advice = verdict(rates, replace(SETTINGS, size_key=(SIZE, key)), CPU)
        assert not any("pixels" in line for line in advice)


@pytest.mark.parametrize(
    ("workers", "machine", "text"),
    [
        (0, CPU, "since the training process loads too (data.workers=0): data.workers=1"),
        (2, CPU, "since 2 loader processes and 4 computing threads share 8 CPU cores"),
        (2, GPU, "the copy to the GPU, or the process that feeds it, is the bottleneck"),
    ],
    ids=["no workers", "cpu", "gpu"],
)
def test_the_loss_from_working_together_is_reported(
    workers: int, machine: Machine, text: str
) -> None:
    settings = replace(SETTINGS, workers=workers)
    place = 1 if workers == 0 else -1
    assert verdict(replace(RATES, together=50.0), settings, machine)[place].endswith(text)
    assert not any("at once" in line for line in verdict(RATES, settings, machine))


def test_size_key_is_that_of_the_last_step_with_a_size() -> None:
    resize = {"name": "resize", "short_side": 640, "long_side": 1066}
    steps = {"resize": resize, "mirror": {"name": "horizontal_flip"}, "off": None}
    assert size_key(steps) == (SIZE, 640)
    moved = {"name": "random_perspective", "height": 512, "width": 512}
    assert size_key({**steps, "p": moved}) == ("augmentation.train.p.height", 512)
    assert size_key({**steps, "exact": {"name": "resize_exact", "height": 300}}) is None
    assert size_key({}) is None


def test_rates_have_as_many_digits_as_they_mean() -> None:
    assert [rate(value) for value in (0.123, 4.56, 12.3, 1234.5)] == ["0.12", "4.6", "12", "1,234"]
