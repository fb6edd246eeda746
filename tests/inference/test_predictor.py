from pathlib import Path

import pytest
import torch
from torch import nn

from detkit.errors import DataError, UserError
from detkit.inference.detecting import choose_device, detect
from detkit.inference.predicting import Prediction, predict_images
from detkit.inference.predictor import Predictor
from detkit.structures import Batch, Detections, PaddedTargets, Sample, Target

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """One box an image, its score the brightness; counts how many images came at once."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, images):
        return images.float().mean(dim=(1, 2, 3))

    def predict(self, batch):
        self.batches.append((len(batch), self.training, torch.is_grad_enabled()))
        scores = batch.images.float().mean(dim=(1, 2, 3)) / 255
        box, label = torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)
        return [Detections(box, score[None], label) for score in scores]


def read(path):
    """The file's name is the brightness of its image."""
    if path.stem == "broken":
        raise DataError(f"cannot read the image '{path}': not an image.")
    image = torch.full((3, 4, 4), int(path.stem), dtype=torch.uint8)
    return Sample(image, Target.empty(), Target.empty(), 0, str(path), (4, 4))


def collate(samples):
    return Batch(
        images=torch.stack([sample.image for sample in samples]),
        image_sizes=[(4, 4)] * len(samples),
        targets=PaddedTargets.of([Target.empty()] * len(samples)),
        original_targets=[Target.empty()] * len(samples),
        image_ids=[0] * len(samples),
        paths=[sample.path for sample in samples],
        original_sizes=[(4, 4)] * len(samples),
        to_image=torch.eye(3, dtype=torch.float64).expand(len(samples), 3, 3),
    )


def predict(names, batch_size=1, detector=None, read=read):
    paths = [Path(f"{name}.png") for name in names]
    predictor = Predictor(detector or Brightness(), collate=collate, device=CPU)
    return predict_images(predictor, paths, read, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_a_broken_file_is_reported_and_the_others_continue(batch_size):
    outcomes = list(predict([255, "broken", 51, 0, "broken", 102], batch_size))
    broken = [isinstance(outcome, DataError) for outcome in outcomes]
    assert broken == [False, True, False, False, True, False]
    assert str(outcomes[1]) == "cannot read the image 'broken.png': not an image."
    predictions = [outcome for outcome in outcomes if isinstance(outcome, Prediction)]
    assert [p.sample.path for p in predictions] == ["255.png", "51.png", "0.png", "102.png"]
    scores = [p.detections.scores.item() for p in predictions]
    assert scores == pytest.approx([1, 0.2, 0, 0.4])


def test_a_batch_of_broken_files_is_not_given_to_the_detector():
    detector = Brightness()
    outcomes = list(predict(["broken", "broken", 255], 2, detector))
    assert [isinstance(outcome, DataError) for outcome in outcomes] == [True, True, False]
    assert detector.batches == [(1, False, False)]


def test_images_go_in_batches_in_evaluation_mode_without_gradients():
    detector = Brightness()
    list(predict([1, 2, 3, 4, 5], 2, detector))
    assert detector.batches == [(2, False, False), (2, False, False), (1, False, False)]


def test_predictions_come_while_the_rest_is_not_yet_read():
    names = []

    def reading(path):
        names.append(path.stem)
        return read(path)

    next(predict([1, 2, 3], read=reading))
    assert names == ["1"]


def test_other_errors_are_not_swallowed():
    def failing(path):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(predict(["a"], read=failing))


def test_images_of_different_sizes_go_through_the_detector_separately_and_keep_their_order():
    def read_in_size(path):
        sample = read(path)
        size = 8 if path.stem in ("51", "102") else 4
        return sample.replace(image=sample.image[:, :1, :1].expand(3, size, size))

    detector = Brightness()
    predictions = list(predict([255, 51, 0, 102], 4, detector, read_in_size))
    scores = [prediction.detections.scores.item() for prediction in predictions]
    assert scores == pytest.approx([1, 0.2, 0, 0.4])
    assert [count for count, _, _ in detector.batches] == [2, 2]


def test_a_caller_keeps_its_gradient_mode():
    predictions = predict([1, 2])
    next(predictions)
    assert torch.is_grad_enabled()


def test_detect_gives_each_batch_with_its_detections():
    batches = [
        collate([read(Path("51.png")), read(Path("255.png"))]),
        collate([read(Path("0.png"))]),
    ]
    found = list(detect(Brightness(), batches, CPU))
    assert [batch for batch, _ in found] == batches
    assert [[d.scores.item() for d in ds] for _, ds in found] == [
        pytest.approx([0.2, 1]),
        pytest.approx([0]),
    ]


def test_a_missing_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(UserError, match="device=cuda: this machine shows no GPU"):
        choose_device("cuda")


def test_an_available_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu") == CPU


def test_one_gpu_of_several(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="device=cuda:2: PyTorch sees 2 GPUs, counted from cuda:0"):
        choose_device("cuda:2")


def test_a_device_that_does_not_exist():
    with pytest.raises(UserError, match="device=gpu: expected auto, cpu, cuda or one GPU"):
        choose_device("gpu")
