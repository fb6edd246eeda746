"""Predictions of a detector in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import nn

from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.structures import Batch, Detections, Sample


class Predictor:
    """Runs a detector on samples. Threads may share it: they take turns on the device.

    A part may keep state between calls (priors are cached, a plugin's part may do anything), so
    only one thread runs the detector at a time; reading images is not part of that.

    Args:
        detector: Made ready for predictions with the first batch, see `ready_to_predict`.
        collate: Turns samples into a batch.
        device: Where the detector runs.
    """

    def __init__(
        self,
        detector: nn.Module,
        *,
        collate: Callable[[Sequence[Sample]], Batch],
        device: torch.device,
    ) -> None:
        self._detector = detector
        self._collate = collate
        self._device = device
        self._is_ready = False
        self._lock = Lock()

    def predict(self, samples: Sequence[Sample]) -> list[Detections]:
        """Detect objects; one forward pass for all samples of the same size.

        Samples of different sizes would need padding that changes the detections at their borders,
        so that a result would depend on the other images of its batch.

        Args:
            samples: One or more.

        Returns:
            The detections of each sample, in order, on the CPU, in original coordinates.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for position, sample in enumerate(samples):
            by_size.setdefault(sample.size, []).append(position)
        detections: dict[int, Detections] = {}
        for positions in by_size.values():
            batch = self._collate([samples[position] for position in positions])
            detections |= zip(positions, self._run(batch), strict=True)
        return [detections[position] for position in range(len(samples))]

    @torch.no_grad()
    def _run(self, batch: Batch) -> list[Detections]:
        with self._lock:
            batch = batch.to(self._device)
            if not self._is_ready:
                self._detector = ready_to_predict(self._detector, batch.images)
                self._is_ready = True
            outputs = self._detector.predict(batch)  # type: ignore[operator]
            return [detections.to("cpu") for detections in outputs]
