from pathlib import Path

import pytest
import torch
from torch import nn

from detkit.errors import DataError, UserError
from detkit.inference.detecting import choose_device, detect
from detkit.inference.predictor import find_images, output_names, predict_files
from detkit.structures import Batch, Detections, Sample, Target

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
        targets=[Target.empty()] * len(samples),
        original_targets=[Target.empty()] * len(samples),
        image_ids=[0] * len(samples),
        paths=[sample.path for sample in samples],
        original_sizes=[(4, 4)] * len(samples),
        to_image=torch.eye(3, dtype=torch.float64).expand(len(samples), 3, 3),
    )


def predicted(names, batch_size=1, detector=None):
    paths = [Path(f"{name}.png") for name in names]
    detector = detector or Brightness()
    found = predict_files(
        detector, paths, read=read, collate=collate, device=CPU, batch_size=batch_size
    )
    return list(found)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_a_broken_file_is_reported_and_the_others_go_on(batch_size):
    found = predicted([255, "broken", 51, 0, "broken", 102], batch_size)
    assert [p.path.stem for p in found] == ["255", "broken", "51", "0", "broken", "102"]
    scores = [None if p.detections is None else p.detections.scores.item() for p in found]
    assert scores == pytest.approx([1, None, 0.2, 0, None, 0.4])
    assert [p.problem for p in found][:2] == [
        "",
        "cannot read the image 'broken.png': not an image.",
    ]


def test_a_batch_of_broken_files_is_not_given_to_the_detector():
    detector = Brightness()
    found = predicted(["broken", "broken", 255], 2, detector)
    assert [p.detections is None for p in found] == [True, True, False]
    assert detector.batches == [(1, False, False)]


def test_images_go_in_batches_in_evaluation_mode_without_gradients():
    detector = Brightness()
    predicted([1, 2, 3, 4, 5], 2, detector)
    assert detector.batches == [(2, False, False), (2, False, False), (1, False, False)]


def test_predictions_come_while_the_rest_is_not_yet_read():
    seen = []

    def reading(path):
        seen.append(path.stem)
        return read(path)

    paths = [Path("1.png"), Path("2.png"), Path("3.png")]
    found = predict_files(Brightness(), paths, read=reading, collate=collate, device=CPU)
    next(found)
    assert seen == ["1"]


def test_other_errors_are_not_swallowed():
    def failing(path):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(predict_files(Brightness(), [Path("a")], read=failing, collate=collate, device=CPU))


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_sorted_with_numbers_by_value(tmp_path):
    make(tmp_path, "b 10.JPG", "b 9.jpg", "ä ü.png", "notes.txt", ".hidden.jpg", "a/c.webp")
    make(tmp_path, ".cache/d.jpg", "__MACOSX/a/c.webp", "._e.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(str(tmp_path))]
    assert found == ["a/c.webp", "b 9.jpg", "b 10.JPG", "ä ü.png"]


def test_a_pattern_gives_the_images_that_fit(tmp_path):
    make(tmp_path, "x/a.jpg", "x/a.txt", "y/a.jpg", "y/b.png", "z.jpg")
    found = find_images(str(tmp_path / "**" / "a.*"))
    assert [path.parent.name for path in found] == ["x", "y"]
    assert {path.suffix for path in found} == {".jpg"}


def test_a_file_is_taken_by_its_name_even_when_that_looks_like_a_pattern(tmp_path):
    make(tmp_path, "a[1].jpg", "a1.jpg", "photo.raw")
    assert find_images(str(tmp_path / "a[1].jpg")) == [tmp_path / "a[1].jpg"]
    assert find_images(str(tmp_path / "photo.raw")) == [tmp_path / "photo.raw"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", r"source=.*empty: the folder holds no files\. Give"),
        ("texts", "the folder holds 1 file, none of them an image"),
        ("missing.jpg", "no such file or folder; as a pattern it fits no files"),
        ("texts/*", r"as a pattern it fits 1 file, none.*such as 'photos/\*\.jpg'"),
    ],
)
def test_nothing_found_says_what_was_looked_for(tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    make(tmp_path, "texts/a.txt")
    with pytest.raises(UserError, match=message):
        find_images(str(tmp_path / source))


def test_output_names_are_unique():
    paths = [Path(p) for p in ("x/a.jpg", "y/a.png", "a-2.jpg", "A.jpg", "x.y.jpg")]
    names = output_names(paths)
    assert names == ["a.png", "a-2.png", "a-2-2.png", "A-3.png", "x.y.png"]
    assert len({name.casefold() for name in names}) == 5


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


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(UserError, match="device=cuda: this machine shows no GPU"):
        choose_device("cuda")


def test_a_gpu_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu") == CPU
