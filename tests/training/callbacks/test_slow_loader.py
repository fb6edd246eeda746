"""A loader that slows the training is reported once, with the setting to raise."""

import re
import time

import pytest
from torch.utils.data import DataLoader
from training_fakes import TinyDetector, batch, cpu_trainer, tiny_module

from detkit.training.callbacks.slow_loader import SlowLoader, starved_text
from detkit.training.fit import fit


class Numbers:
    """Batches that take a while to load."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __len__(self):
        return 16

    def __getitem__(self, position):
        time.sleep(self.seconds)
        return batch(position)


class Slow(TinyDetector):
    def loss(self, batch):
        time.sleep(0.02)
        return super().loss(batch)


def train(folder, detector, pause, **changes):
    callback = SlowLoader(**{"batches": 4, "skip": 2, "seconds": 0.01, **changes})
    loader = DataLoader(Numbers(pause), batch_size=None, num_workers=0)
    trainer = cpu_trainer(folder, callbacks=[callback], max_epochs=1)
    fit(tiny_module(detector=detector), trainer, loader)


def test_slow_loader_is_reported_once(tmp_path, caplog):
    train(tmp_path, TinyDetector(), pause=0.02)
    (record,) = caplog.records
    assert "OF THE TRAINING'S TIME" in record.getMessage()
    assert "data.workers=0" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    ("detector", "changes"),
    [(Slow, {"share": 0.6}), (TinyDetector, {"seconds": 10.0}), (TinyDetector, {"skip": 14})],
    ids=["a slower detector", "too short to matter", "an epoch that is over too soon"],
)
def test_silent_otherwise(tmp_path, caplog, detector, changes):
    train(tmp_path, detector(), pause=0.005, **changes)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 4, "cores": 32, "threads": 0}, r"\(data.workers=4\): raise data.workers to 8"),
        ({"workers": 0, "cores": 8, "threads": 0}, "process does it itself .*set data.workers=2"),
        ({"workers": 0, "cores": 8, "threads": 4}, "set data.workers=2"),
        ({"workers": 2, "cores": 2, "threads": 0}, "no CPU core is free for more of them"),
        ({"workers": 0, "cores": 2, "threads": 2}, "computes on all 2 CPU cores, so more workers"),
        ({"workers": 6, "cores": 8, "threads": 0}, "raise data.workers to 8"),
    ],
)
def test_advice_depends_on_the_free_cores_and_memory(values, message):
    pattern = rf"LOADING IMAGES TAKES 50% OF THE TRAINING'S TIME.*{message}"
    assert re.match(pattern, starved_text(0.5, **values))


def test_once_in_a_run():
    callback = SlowLoader()
    callback.load_state_dict({"done": True})
    assert callback.state_dict() == {"done": True}
