"""Counts operations and the calls that make the host wait, and names their lines of code."""
# ruff: noqa: PLW0108  # the lambdas have to compute while operations are counted

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from detkit.benchmark.operations import OperationCount, count_operations

VALUES = torch.arange(4.0)
MASK = torch.tensor([True, False, True, True])
COUNTS = torch.tensor([1, 0, 2, 1])
BOXES = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
CPU = torch.device("cpu")


def counted(work: Callable[[], object], *host: Tensor) -> OperationCount:
    return count_operations(work, CPU, host)


READS: dict[str, Callable[[], object]] = {
    "item": lambda: VALUES[0].item(),
    "bool": lambda: bool(VALUES[0] > 1),
    "float": lambda: float(VALUES[1]),
    "equal": lambda: torch.equal(VALUES, VALUES),
    "tolist": lambda: VALUES.tolist(),
    "tolist of a number": lambda: VALUES[0].tolist(),
    "numpy": lambda: VALUES.numpy(),
    "asarray": lambda: np.asarray(VALUES),
    "nonzero": lambda: VALUES.nonzero(),
    "where": lambda: torch.where(MASK),
    "mask": lambda: VALUES[MASK],
    "mask in an assignment": lambda: torch.zeros(4).index_put_((MASK,), torch.ones(3)),
    "masked_select": lambda: VALUES.masked_select(MASK),
    "unique": lambda: VALUES.unique(),
    "repeat_interleave": lambda: VALUES.repeat_interleave(COUNTS),
    "bincount": lambda: COUNTS.bincount(minlength=4),
    "nms": lambda: torchvision.ops.nms(BOXES, VALUES[:1], 0.5),
    "list to the device": lambda: torch.tensor([1.0], device=CPU),
    "new_tensor": lambda: VALUES.new_tensor([1.0]),
    "host tensor to the device": lambda: torch.tensor([1.0]).to(CPU),
}
OTHERS: dict[str, Callable[[], object]] = {
    "arithmetic": lambda: VALUES + 1,
    "positions": lambda: VALUES[COUNTS],
    "a number where a mask is true": lambda: torch.zeros(4).__setitem__(MASK, 1.0),
    "repeat_interleave of known size": lambda: VALUES.repeat_interleave(COUNTS, output_size=4),
    "repeat_interleave of a number": lambda: VALUES.repeat_interleave(2),
    "iteration": lambda: list(VALUES),
    "split": lambda: VALUES.split([1, 3]),
    "list on the host": lambda: torch.tensor([1.0]).tolist(),
    "dtype": lambda: VALUES.to(torch.float16),
}


@pytest.mark.parametrize("work", READS.values(), ids=READS)
def test_a_wait_counts_once(work: Callable[[], object]) -> None:
    assert counted(work).host_reads == 1


@pytest.mark.parametrize("work", OTHERS.values(), ids=OTHERS)
def test_other_operations_do_not_wait(work: Callable[[], object]) -> None:
    assert counted(work).host_reads == 0


def test_operations_of_forward_and_backward_count() -> None:
    weight = torch.ones(2, requires_grad=True)
    assert counted(lambda: weight * weight).operations == 1
    assert counted(lambda: (weight * weight).sum()).operations == 2
    assert counted(lambda: (weight * weight).sum().backward()).operations > 5


def test_a_copy_to_the_host_is_one_wait_and_its_values_are_free() -> None:
    def work() -> list[float]:
        copy = VALUES.cpu()
        return copy[copy > 1].tolist()

    count = counted(work)
    assert (len(count.reads), len(count.copies)) == (0, 1)
    assert VALUES.tolist() == [0, 1, 2, 3]


def test_inputs_on_the_host_are_free() -> None:
    assert counted(lambda: (2 * VALUES).tolist(), VALUES).host_reads == 0
    assert counted(lambda: (2 * VALUES).tolist()).host_reads == 1


def test_lines_name_the_code_that_waits() -> None:
    count = counted(lambda: [VALUES.nonzero() for _ in range(2)])
    line = test_lines_name_the_code_that_waits.__code__.co_firstlineno + 1
    assert count.lines() == [f"2 x nonzero, tests/benchmark/{Path(__file__).name}:{line}"]


def test_a_wait_of_the_backward_pass_names_its_node() -> None:
    values = torch.ones(4, requires_grad=True)
    assert (
        "1 x index_put, backward pass, IndexBackward0"
        in counted(lambda: values[MASK].sum().backward()).lines()
    )


@pytest.mark.slow
def test_compiled_functions_are_counted_as_written() -> None:
    compiled = torch.compile(lambda values: values.sum().item())
    assert counted(lambda: compiled(VALUES)).host_reads == 1
