"""What a results table says about images that could not be measured as they should be."""

from __future__ import annotations

from torch.utils.data import DataLoader

from detkit.data.counting import counted
from detkit.data.dataset import DetectionDataset
from detkit.data.left_out import sentences
from detkit.structures import Sample

_SHOWN = 5  # files


def describe_unreadable(loader: DataLoader[Sample]) -> list[str]:
    """Lines about the images that a loader could not decode, and those that were left out before.

    The objects of the first kind count as missed. Images of the second kind cannot even be opened,
    or are not there: the reader leaves them out with their objects, so they are in no count.
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
        f"{counted(objects, 'object')} in {'it' if len(files) == 1 else 'them'} "
        f"{'counts' if objects == 1 else 'count'} as missed: {', '.join(files[:_SHOWN])}{more}"
    )
