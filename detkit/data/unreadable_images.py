"""Lines of the results table about images that could not be read."""

from __future__ import annotations

from torch.utils.data import DataLoader

from detkit.data.detection_dataset import DetectionDataset
from detkit.data.fault_messages import sentences
from detkit.structures import Sample
from detkit.text import agree, counted

_SHOWN = 5  # files


def describe_unreadable(loader: DataLoader[Sample]) -> list[str]:
    """Lines about the images that a loader could not decode, and those that the reader dropped.

    The objects of undecodable images count as missed. The reader leaves out images that it cannot
    open or that are missing, with their objects, so they are in no count.
    """
    dataset = loader.dataset
    if not isinstance(dataset, DetectionDataset):
        return []
    lines = [_undecoded(dataset)] if dataset.unreadable else []
    lost = [fault for fault in dataset.index.faults if fault.what == "image" and fault.left_out]
    return [*lines, *(f"left out with its objects: {line}" for line in sentences(lost, short=True))]


def _undecoded(dataset: DetectionDataset) -> str:
    files = dataset.unreadable
    objects = sum(map(dataset.object_count, dataset.unreadable_positions))
    more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    return (
        f"{counted(len(files), 'image')} of {len(dataset):,} cannot be decoded, so "
        f"{counted(objects, 'object')} in {agree(len(files), 'it', 'them')} "
        f"{agree(objects, 'counts', 'count')} as missed: {', '.join(files[:_SHOWN])}{more}"
    )
