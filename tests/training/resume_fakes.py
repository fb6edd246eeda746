"""A detector that draws random numbers, and a loader that can start within an epoch."""

from torch import nn
from training_fakes import TinyDetector, batch

from detkit.data.batch_order import TrainingBatches
from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm

BATCHES = 5


class Noisy(TinyDetector):
    """Draws from the global generators of PyTorch in each step."""

    def __init__(self):
        super().__init__()
        self.backbone.append(nn.Dropout(0.3))


class Loader:
    """Batches in the real sampler's order, which can start within an epoch."""

    def __init__(self, skip=(0, 0), images=BATCHES * 2):
        self.batch_sampler = TrainingBatches(images, batch_size=2, seed=3, skip=skip)

    def __len__(self):
        return len(self.batch_sampler)

    def __iter__(self):
        for keys in self.batch_sampler:
            yield batch(sum(key.position * 100**n for n, key in enumerate(keys)))


class AcrossBatches(Noisy):
    """Has a norm with the statistics of all batches of an optimizer step."""

    def __init__(self):
        super().__init__()
        self.backbone[1] = CrossMiniBatchNorm(4)
