"""Memory of loader processes with a large data set, as proportional set size."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from detkit.data.batch_order import TrainingBatches
from detkit.data.collate import Collate
from detkit.data.detection_dataset import DetectionDataset
from detkit.structures import DatasetIndex

IMAGES, OBJECTS, WORKERS, EPOCHS = 5_000, 20, 2, 2  # 100,000 annotations
MEGABYTE = 2**20
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell the PSS"
)


def large_index(root):
    Image.new("RGB", (16, 16)).save(root / "one.png")
    names = [b"one.png"] * IMAGES
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 8, (IMAGES * OBJECTS, 2)).astype(np.float32)
    count = IMAGES * OBJECTS
    return DatasetIndex(
        root=root,
        class_names=["disc"],
        category_ids=[1],
        file_names=b"".join(names),
        file_offsets=np.arange(IMAGES + 1, dtype=np.int64) * len(names[0]),
        image_ids=np.arange(IMAGES, dtype=np.int64),
        sizes=np.full((IMAGES, 2), 16, np.int32),
        object_offsets=np.arange(IMAGES + 1, dtype=np.int64) * OBJECTS,
        boxes=np.concatenate([corners, corners + 4], axis=1),
        labels=np.zeros(count, np.int64),
        ignored=np.zeros(count, bool),
        areas=np.full(count, np.nan, np.float32),
    )


def proportional_set_size(process):
    """Proportional set size of a process, in bytes."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no PSS")


class AnnotationLists(Dataset):
    """The counterexample: Python objects, whose reference counts change when they are read."""

    def __init__(self):
        self.boxes = [[float(i), 1.0, 2.0, 3.0] for i in range(IMAGES * OBJECTS)]

    def __getitem__(self, key):
        first = key.position * OBJECTS
        return sum(box[0] for box in self.boxes[first : first + OBJECTS])


def worker_sizes(dataset, collate):
    """The PSS of each loader process once each has sent a batch, then after each epoch."""
    sampler = TrainingBatches(IMAGES, batch_size=50, seed=0)
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=WORKERS,
        collate_fn=collate,
        persistent_workers=True,
        multiprocessing_context="fork",
    )
    known = {child.pid for child in multiprocessing.active_children()}
    sizes = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        batches = iter(loader)
        for _ in range(WORKERS):
            next(batches)
        workers = {child.pid for child in multiprocessing.active_children()} - known
        if not sizes:
            sizes.append([proportional_set_size(pid) for pid in workers])
        for _ in batches:
            pass
        sizes.append([proportional_set_size(pid) for pid in workers])
    return np.array(sizes)  # (1 + epochs, workers)


def sizes_in_a_new_process(dataset, collate):
    """Run `worker_sizes` in a new process, because other tests have changed this one's memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(worker_sizes, dataset, collate).result()


@pytest.mark.slow
def test_workers_do_not_grow(tmp_path):  # pain 17
    dataset = DetectionDataset(large_index(tmp_path), transforms={}, seed=0)
    sizes = sizes_in_a_new_process(dataset, Collate(pad_multiple=32))
    assert sizes.shape == (1 + EPOCHS, WORKERS)
    assert (sizes[-1] - sizes[0]).max() < 3 * MEGABYTE
    assert (sizes[-1] - sizes[1]).max() < 1.5 * MEGABYTE


@pytest.mark.slow  # about the measure of the test above
def test_the_measure_sees_lists_of_objects_grow():
    sizes = sizes_in_a_new_process(AnnotationLists(), sum)
    assert (sizes[-1] - sizes[0]).min() > 4 * MEGABYTE
