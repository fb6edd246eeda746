import numpy as np
import pytest

from detkit.ops.class_weights import class_weights, effective_number_weights


def test_class_weights_have_a_mean_of_one_over_objects():
    counts = np.array([90, 10, 0])
    equal = class_weights(counts, 1.0)
    assert equal.tolist() == pytest.approx([100 / 180, 5, 1])
    assert (class_weights(counts, 0.5) * counts).sum() == pytest.approx(100)
    assert class_weights(counts, 0.5)[1] / class_weights(counts, 0.5)[0] == pytest.approx(3)
    assert class_weights(counts, 0.0).tolist() == [1, 1, 1]
    assert class_weights(np.zeros(2, dtype=np.int64), 0.5).tolist() == [1, 1]


def test_effective_number_weights_by_hand():
    # With beta 0.5, one object counts 1 and three count 1.75: weights 1 and 4/7 before scaling.
    weights = effective_number_weights(np.array([1, 3, 0]), 0.5)
    scale = 4 / (1 + 3 * 4 / 7)
    np.testing.assert_allclose(weights, [scale, scale * 4 / 7, 1])


def test_effective_numbers_lie_between_no_and_full_balance():
    counts = np.array([10, 1000])
    np.testing.assert_allclose(effective_number_weights(counts, 0.0), [1, 1])
    balanced = effective_number_weights(counts, 1 - 1e-9)
    np.testing.assert_allclose(balanced, class_weights(counts, 1.0), rtol=1e-4)
