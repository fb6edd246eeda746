import numpy as np
import pytest

from detkit.data.class_weights import class_weights


def test_class_weights_have_a_mean_of_one_over_objects():
    counts = np.array([90, 10, 0])
    equal = class_weights(counts, 1.0)
    assert equal.tolist() == pytest.approx([100 / 180, 5, 1])
    assert (class_weights(counts, 0.5) * counts).sum() == pytest.approx(100)
    assert class_weights(counts, 0.5)[1] / class_weights(counts, 0.5)[0] == pytest.approx(3)
    assert class_weights(counts, 0.0).tolist() == [1, 1, 1]
    assert class_weights(np.zeros(2, dtype=np.int64), 0.5).tolist() == [1, 1]
