from detkit.data.opencv import cv2


def test_opencv_starts_no_threads():
    assert cv2.getNumThreads() == 1
