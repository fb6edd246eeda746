"""Random generators seeded by a few whole numbers."""

from __future__ import annotations

import numpy as np
import torch

# What a generator is for, so that equal numbers give unrelated draws.
ORDER, AUGMENTATION, SCALE, SPLIT, WORKERS, REPLACEMENT = range(6)


def generator_of(purpose: int, *numbers: int) -> torch.Generator:
    """A generator that depends on the purpose and the numbers only."""
    seed = np.random.SeedSequence([purpose, *numbers]).generate_state(1, np.uint64)[0]
    generator = torch.Generator()
    generator.manual_seed(int(seed >> np.uint64(1)))  # manual_seed takes signed 64-bit numbers
    return generator
