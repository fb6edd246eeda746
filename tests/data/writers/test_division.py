import pytest

from detkit.data.readers.coco_reader import CocoReader
from detkit.data.writers.convert import convert
from detkit.data.writers.division import Division
from detkit.errors import UserError


@pytest.fixture
def index(coco):
    return CocoReader().read(coco, "train")


def names(index):
    return [index.path(position).name for position in range(len(index))]


def test_each_image_is_in_one_part_and_the_seed_draws(index):
    parts = Division(0.5).of({"": index})
    assert sorted(names(parts["train"]) + names(parts["val"])) == ["a.jpg", "b.jpg"]
    drawn = {names(Division(0.5, seed).of({"": index})["train"])[0] for seed in range(8)}
    assert drawn == {"a.jpg", "b.jpg"}
    assert names(Division(0.5, 1).of({"": index})["train"]) == names(
        Division(0.5, 1).of({"train": index})["train"]
    )


def test_objects_stay_with_their_images(index):
    for part in Division(0.5).of({"": index}).values():
        assert len(part.boxes) == (2 if names(part) == ["a.jpg"] else 0)


def test_an_empty_part_is_refused(index):
    with pytest.raises(UserError, match=r"split=0.9 of 2 images puts 2 into train and 0 into val"):
        Division(0.9).of({"": index})


def test_several_splits_are_not_divided(coco, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "yolo"
    with pytest.raises(UserError, match=r"already has the splits train, val.* split=train,0.8"):
        convert(coco, target, to="yolo", division=Division(0.8))
    assert not target.exists()


@pytest.mark.parametrize("name", ["cvat", "labelme", "openimages"])
def test_formats_of_globox_are_converted(request, tmp_path_factory, name):
    source = request.getfixturevalue(name)
    target = tmp_path_factory.mktemp("out") / "coco"
    report = convert(source, target, to="coco")
    assert report.source == name
    first = {split: count.objects for split, count in report.splits.items()}
    assert first["train"] == len(CocoReader().read(target, "train").boxes) == 2


def test_files_that_ultralytics_cannot_use_are_named(yolo, tmp_path_factory):
    from PIL import Image

    image = next((yolo / "images").rglob("*.jpg"))
    Image.open(image).save(image.with_suffix(".gif"))
    image.unlink()
    report = convert(yolo, tmp_path_factory.mktemp("out") / "yolo", to="yolo")
    assert any("1 image (.gif) that Ultralytics ignores" in line for line in report.losses)
