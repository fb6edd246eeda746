"""Repeat a step to find its first value that is not finite."""

from training_fakes import TinyDetector, batch

from detkit.training.step_replay import replay_step


class Steep(TinyDetector):
    """Gradients of 1e25 are finite, but their norm overflows float32."""

    def loss(self, batch):
        return {"loss/box": 1e25 * super().loss(batch)["loss/box"]}


def test_gradients_whose_norm_overflows_are_named():
    replay = replay_step(Steep(), batch(1), "32-true")
    assert not replay.is_finite
    assert "parameters are not finite, nearest to the loss that of head." in replay.finding()
