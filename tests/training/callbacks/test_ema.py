import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from training_fakes import Batches, TinyDetector, batches, cpu_trainer, tiny_module

from detkit.optimizers.sgd import SGD
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.ema import WeightAverage
from detkit.training.fit import fit


class Slope(nn.Module):
    """Each step of rate 1 takes 1 off the weight, from 0; its counter counts the steps."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("statistic", torch.zeros(1))
        self.register_buffer("counter", torch.zeros(1, dtype=torch.int64))

    def loss(self, batch):
        self.statistic += 2
        self.counter += 1
        return {"loss/slope": self.weight.sum()}

    def predict(self, batch):
        return []


class Seen(Callback):
    def __init__(self):
        self.trained, self.validated = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.trained.append(pl_module.detector.weight.item())

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        detector = pl_module.detector
        values = detector.weight, detector.statistic, detector.counter
        self.validated.append(tuple(value.item() for value in values))


class NoImages(Batches):
    def __init__(self):
        super().__init__(0)
        self.batches[0].image_ids.clear()
        self.batches[0].original_targets.clear()


def train_slope(folder, ema, epochs=2, **settings):
    module = tiny_module(
        detector=Slope(),
        optimizer=SGD(learning_rate=1.0, momentum=0.0, weight_decay=0.0),
        schedule=lambda step, total_steps: 1.0,
    )
    seen, checkpoints = Seen(), Checkpoints(run_folder=str(folder))
    callbacks = [ema, seen, checkpoints]
    trainer = cpu_trainer(folder, max_epochs=epochs, callbacks=callbacks, **settings)
    fit(module, trainer, batches(2), NoImages())
    return module, seen


def test_average_by_hand_is_validated_and_raw_weights_train_on(tmp_path):
    module, seen = train_slope(tmp_path, WeightAverage(decay=0.5, warm_up=False))
    # weights 0, -1, -2, -3, -4; averages 0, -.5, -1.25, -2.125, -3.0625; the statistic doubles both
    assert seen.trained == [0, -1, -2, -3]
    assert seen.validated == [(-1.25, 2.5, 2), (-3.0625, 6.125, 4)]
    assert module.detector.weight.item() == -3.0625


def test_checkpoint_holds_the_average_and_the_raw_weights(tmp_path):
    train_slope(tmp_path, WeightAverage(decay=0.5, warm_up=False))
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["detector.weight"].item() == -3.0625
    assert saved["raw_state_dict"]["detector.weight"].item() == -4
    assert saved["state_dict"]["detector.counter"].item() == 4
    assert saved["callbacks"]["WeightAverage"] == {"updates": 4}


def test_decay_grows_up_to_its_limit():
    ema = WeightAverage(decay=0.9)
    decays = [ema.decay_at(update) for update in (1, 8, 10_000)]
    assert decays == pytest.approx([2 / 11, 9 / 18, 0.9])


def test_average_moves_once_per_optimizer_step(tmp_path):
    ema = WeightAverage(decay=0.5, warm_up=False)
    train_slope(tmp_path, ema, epochs=3, accumulate_grad_batches=2)
    assert ema.updates == 3


def test_failing_validation_leaves_raw_weights(tmp_path):
    class Broken(TinyDetector):
        def predict(self, batch):
            raise RuntimeError("no prediction")

    module = tiny_module(detector=Broken())
    ema = WeightAverage(decay=1.0, warm_up=False)  # the average stays at the first weights
    first = module.detector.head.weight.clone()
    with pytest.raises(RuntimeError, match="no prediction"):
        fit(module, cpu_trainer(tmp_path, callbacks=[ema]), batches(2), Batches(3))
    assert not torch.equal(module.detector.head.weight, first)


def test_validation_of_a_checkpoint_uses_the_average(tmp_path):
    train_slope(tmp_path, WeightAverage(decay=0.5, warm_up=False))
    module, last = tiny_module(detector=Slope()), str(tmp_path / "checkpoints" / "last.ckpt")
    trainer = cpu_trainer(tmp_path, callbacks=[WeightAverage(), Checkpoints(run_folder="unused")])
    trainer.validate(module, NoImages(), ckpt_path=last, weights_only=True, verbose=False)
    assert module.detector.weight.item() == -3.0625


def test_average_started_on_a_checkpoint_without_one_begins_with_its_weights(tmp_path):
    module = tiny_module()
    callbacks = [Checkpoints(run_folder=str(tmp_path))]
    fit(module, cpu_trainer(tmp_path, max_epochs=1, callbacks=callbacks), batches(2))
    resumed, ema = tiny_module(), WeightAverage(decay=1.0, warm_up=False)
    trainer = cpu_trainer(tmp_path, max_epochs=2, callbacks=[ema, *callbacks])
    fit(resumed, trainer, batches(2), resume=str(callbacks[0].last_path))
    assert torch.equal(resumed.detector.head.weight, module.detector.head.weight)


def test_resuming_a_finished_training_leaves_the_average(tmp_path):
    train_slope(tmp_path, WeightAverage(decay=0.5, warm_up=False))
    module, last = tiny_module(detector=Slope()), str(tmp_path / "checkpoints" / "last.ckpt")
    callbacks = [WeightAverage(decay=0.5), Checkpoints(run_folder=str(tmp_path))]
    trainer = cpu_trainer(tmp_path, max_epochs=2, callbacks=callbacks)
    fit(module, trainer, batches(2), NoImages(), resume=last)
    assert module.detector.weight.item() == -3.0625
