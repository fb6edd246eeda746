"""Parts that follow the training get the share of the steps that are done."""

from training_fakes import TinyDetector, batches, cpu_trainer, tiny_module

from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.fit import fit


class Follower(TinyDetector):
    """Records the shares that it gets."""

    def __init__(self):
        super().__init__()
        self.shares = []

    def set_progress(self, share):
        self.shares.append(share)


def test_the_share_depends_on_the_optimizer_step_also_in_a_resumed_run(tmp_path):
    detector, callbacks = Follower(), [Checkpoints(run_folder=str(tmp_path))]
    first = cpu_trainer(tmp_path, max_epochs=1, callbacks=callbacks)
    fit(tiny_module(detector=detector), first, batches(2), batches(1))
    assert detector.shares == [0, 0.5]
    detector, last = Follower(), str(tmp_path / "checkpoints/last.ckpt")
    resumed = cpu_trainer(tmp_path, max_epochs=2)
    fit(tiny_module(detector=detector), resumed, batches(2), batches(1), resume=last)
    assert detector.shares == [0.5, 0.75]
