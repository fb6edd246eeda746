"""Identities over frames."""

import sys

import numpy as np
import pytest

from detkit.errors import UserError
from detkit.structures import DetectionArrays
from detkit.video.tracking import Tracker


def detections(*rows):
    """Detections of rows x, score: boxes of 20 x 20 pixels."""
    boxes = np.array([[x, 0, x + 20, 20] for x, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in rows], np.float32)
    return DetectionArrays(boxes, scores, np.zeros(len(rows), np.int64))


def follow(name, *frames):
    """Identities per frame of an exact 25 frames/s."""
    pytest.importorskip("trackers", reason="tracking needs the package trackers")
    tracker = Tracker(name, threshold=0.5, rate=25.0)
    return [tracker.update(detections(*rows), n / 25) for n, rows in enumerate(frames)]


@pytest.mark.parametrize("name", ["bytetrack", "sort"])
def test_two_moving_objects_keep_their_identities(name):
    frames = [[(n, 0.9), (200 - n, 0.8)] for n in range(6)]
    frames[5].reverse()  # the order of detections does not matter
    tracked = follow(name, *frames)
    assert tracked[4].identities.tolist() == [0, 1]
    assert tracked[5].identities.tolist() == [1, 0]
    np.testing.assert_array_equal(tracked[5].detections.boxes[0], [195, 0, 215, 20])


@pytest.mark.parametrize("name", ["bytetrack", "sort"])
def test_a_new_object_has_no_identity_yet(name):
    assert follow(name, [(0, 0.9)])[0].identities.tolist() == [-1]


@pytest.mark.parametrize("name", ["bytetrack", "sort"])
def test_empty_frames(name):
    frames = follow(name, [], [(0, 0.9)], [], [(1, 0.9)])
    assert [len(frame.identities) for frame in frames] == [0, 1, 0, 1]


def test_bytetrack_follows_an_object_that_becomes_weak():
    tracked = follow("bytetrack", *[[(n, 0.9)] for n in range(3)], [(3, 0.2), (300, 0.2)])
    assert tracked[3].identities.tolist() == [0]
    np.testing.assert_array_equal(tracked[3].detections.boxes, [[3, 0, 23, 20]])


def test_an_unknown_tracker():
    with pytest.raises(UserError, match="track=bytetracker: expected bytetrack or sort"):
        Tracker("bytetracker", threshold=0.5)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(UserError, match=r'track=sort: .*pip install "detkit\[track\]"'):
        Tracker("sort", threshold=0.5)
