"""Marks of tracked objects."""

import numpy as np

from detkit.structures import DetectionArrays
from detkit.visualization.colours import class_colour
from detkit.visualization.identities import identity_marks


def test_identities_are_in_labels_and_colours():
    boxes = np.array([[0, 0, 9, 9], [5, 5, 20, 20]], np.float32)
    scores = np.array([0.5, 0.9], np.float32)
    detections = DetectionArrays(boxes, scores, np.array([1, 0]))
    best, other = identity_marks(detections, ["traffic light", "dog"], np.array([-1, 4]))
    assert (best.text, best.colour) == ("traffic light #4 0.90", class_colour(4))
    assert (other.text, other.colour) == ("dog 0.50", class_colour(1))
    assert best.box == (5, 5, 20, 20)
