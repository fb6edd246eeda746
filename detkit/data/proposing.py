"""Propose regions for all images of a data set, and write them as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detkit.data.proposal_file import ProposalWriter, content_key
from detkit.data.proposal_methods import Boxes, Propose, usable
from detkit.errors import DataError
from detkit.pixels.image_decoding import UnreadableImageError, read_header

Watch = Callable[[Iterable["ImageProposals"], int], Iterable["ImageProposals"]]


class ImageProposals(NamedTuple):
    """The regions of one image.

    Attributes:
        name: The image, relative to the data set.
        key: Its key in the proposal file.
        boxes: (R, 4) regions; None if the image cannot be decoded, or is known.
        is_known: Whether the file has them already.
    """

    name: str
    key: bytes
    boxes: Boxes | None
    is_known: bool = False


@dataclass
class Summary:
    """What a run of `propose_all` did.

    Attributes:
        counts: Regions of each image that was written.
        known: Number of images that the file had already.
        unreadable: Images that cannot be decoded; they have no regions.
    """

    counts: list[int] = field(default_factory=list)
    known: int = 0
    unreadable: list[str] = field(default_factory=list)


def propose_all(
    images: Mapping[str, Path],
    writer: ProposalWriter,
    propose: Propose,
    *,
    most: int,
    threads: int,
    watch: Watch,
) -> Summary:
    """Propose regions for the images that a file lacks; interrupted, the rest follows later.

    Args:
        images: The image files, by name.
        writer: The file.
        propose: Regions of an image file.
        most: Regions of an image to write.
        threads: Images at once.
        watch: Iterates over the results, with their number, and may show the progress.
    """
    summary, known = Summary(), writer.known()

    def of_image(name: str) -> ImageProposals:
        key = content_key(images[name])
        if key in known:
            return ImageProposals(name, key, None, is_known=True)
        return ImageProposals(name, key, _regions(images[name], propose, most))

    for name, key, boxes, is_known in watch(_in_threads(of_image, images, threads), len(images)):
        if is_known:
            summary.known += 1
            continue
        if boxes is None:
            summary.unreadable.append(name)
        regions = np.zeros((0, 4), np.float32) if boxes is None else boxes
        writer.write(key, name, regions)
        summary.counts.append(len(regions))
    return summary


def _regions(path: Path, propose: Propose, most: int) -> Boxes | None:
    try:
        return usable(propose(path), read_header(path).size, most)
    except (UnreadableImageError, DataError):
        return None


def _in_threads(
    work: Callable[[str], ImageProposals], names: Iterable[str], threads: int
) -> Iterator[ImageProposals]:
    """The results of several threads, in order; few are held, and a stop drops those that wait."""
    pending: deque[Future[ImageProposals]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for name in names:
                pending.append(pool.submit(work, name))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
