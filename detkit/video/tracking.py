"""Identities of objects over the frames of a video, by the package `trackers`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError, did_you_mean
from detkit.structures import DetectionArrays
from detkit.video.packages import import_trackers

TrackerName = Literal["bytetrack", "sort"]
TRACKERS = get_args(TrackerName)
NO_IDENTITY = -1
_WEAK = 0.1  # ByteTrack's paper: weaker detections extend no track
_FALLBACK_RATE = 30.0  # frames/s of sources that say none


class Tracked(NamedTuple):
    """The detections of a frame that remain, and who they are.

    Attributes:
        detections: Those of the minimum score, and weaker ones that belong to a track.
        identities: (N,) int64 numbers of the tracks from 0; -1 for an object without one.
    """

    detections: DetectionArrays
    identities: NDArray[np.int64]


def require_tracker(name: str) -> TrackerName:
    """The name of a tracker.

    Raises:
        UserError: There is none of that name.
    """
    if name not in TRACKERS:
        raise UserError(
            f"track={name}: expected {' or '.join(TRACKERS)}.{did_you_mean(name, TRACKERS)}"
        )
    return cast("TrackerName", name)


class Tracker:
    """Follows objects from frame to frame, whatever their class.

    ByteTrack also extends tracks with detections below the minimum score (down to 0.1), so it
    wants to see them. A new object gets its identity after 2 frames (SORT: 3).

    Args:
        name: `bytetrack` or `sort`.
        threshold: The minimum score of a detection that begins a track.
        rate: Frames per second; None if unknown.

    Attributes:
        lowest_score: The weakest detections that `update` uses.

    Raises:
        UserError: There is no such tracker, or the package is missing.
    """

    def __init__(self, name: str, *, threshold: float, rate: float | None = None) -> None:
        require_tracker(name)
        trackers = import_trackers(f"track={name}")
        self._detections = import_module("supervision").Detections  # trackers depends on it
        self._threshold = threshold
        common = {
            "frame_rate": rate or _FALLBACK_RATE,
            "track_activation_threshold": threshold,
        }
        if name == "sort":
            self._tracker: Any = trackers.SORTTracker(**common)
            self.lowest_score = threshold
        else:
            self._tracker = trackers.ByteTrackTracker(**common, high_conf_det_threshold=threshold)
            self.lowest_score = min(_WEAK, threshold)

    def update(self, detections: DetectionArrays, time: float | None = None) -> Tracked:
        """Find out which objects of earlier frames these are.

        Args:
            detections: Of the next frame, from `lowest_score` on.
            time: Seconds; None if frames are equally far apart.
        """
        positions = np.arange(len(detections.scores))
        answer = self._tracker.update(
            self._detections(
                xyxy=detections.boxes.reshape(-1, 4),
                confidence=detections.scores,
                class_id=detections.labels,
                data={"position": positions},
            ),
            timestamp=time,
        )
        identities = np.full(len(positions), NO_IDENTITY, np.int64)
        if len(answer):
            identities[answer.data["position"].astype(np.int64)] = answer.tracker_id
        keep = (detections.scores >= self._threshold) | (identities != NO_IDENTITY)
        return Tracked(detections.select(keep), identities[keep])
