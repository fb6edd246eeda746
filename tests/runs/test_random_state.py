import io
import random

import numpy as np
import torch

from detkit.runs.random_state import random_state, set_random_state


def draws():
    return [random.gauss(0, 1), float(np.random.randn()), float(torch.rand(()))]


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_all_generators_continue_from_a_saved_state():
    draws()  # leaves half of a pair of normal numbers in Python's and NumPy's generators
    saved = through_a_file(random_state())
    first = draws()
    assert draws() != first
    set_random_state(saved)
    assert draws() == first
