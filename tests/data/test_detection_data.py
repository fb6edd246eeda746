import logging
import shutil

import pytest
import torch

from detkit.data.detection_data import DetectionData
from detkit.data.readers.auto import AutoReader
from detkit.data.transforms.colour import ColorJitter
from detkit.data.transforms.crops import RandomCrop
from detkit.data.transforms.flips import HorizontalFlip
from detkit.data.transforms.resizing import Resize, ScaleJitter
from detkit.errors import DataError


def data_of(path, **options):
    options.setdefault("train_transforms", {})
    options.setdefault("workers", 0)
    options.setdefault("sampling", None)
    return DetectionData(
        path=str(path), reader=AutoReader(), evaluation_transforms={}, seed=0, **options
    )


@pytest.fixture
def many(tmp_path, pictures, coco_files):
    """Eight images of one undivided COCO file, each with one box."""
    names = [f"{number}.jpg" for number in range(8)]
    for number, name in enumerate(names):
        pictures(tmp_path / "images" / name, seed=number)
    objects = [
        {"image_id": number, "category_id": 3, "bbox": [number, 2, 20, 20], "area": 10.0 * number}
        for number in range(1, 9)
    ]
    coco_files(tmp_path / "annotations.json", names, objects)
    return tmp_path


def equal(first, second):
    """Whether two batches are bit-equal, their objects included."""
    values = [
        (a.boxes.equal(b.boxes), a.labels.equal(b.labels))
        for a, b in zip(first.targets.split(), second.targets.split(), strict=True)
    ]
    return (
        first.images.equal(second.images)
        and first.to_image.equal(second.to_image)
        and first.image_ids == second.image_ids
        and all(all(value) for value in values)
    )


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    data = data_of(tmp_path / "absent")
    with pytest.raises(DataError, match=r"there is no folder '.*absent'"):
        _ = data.class_names


# pain 24
def test_workers_make_the_batches_that_one_process_makes(many):
    transforms = {
        "flip": HorizontalFlip(),
        "crop": RandomCrop(),
        "scale": ScaleJitter(),
        "colour": ColorJitter(hue=0.1),
    }
    options = {"train_transforms": transforms, "batch_size": 2, "multi_scale": [0.5, 1.0, 1.5]}
    alone, shared = (data_of(many, **options, workers=n).train_loader() for n in (0, 2))
    epochs = {}
    for epoch in (0, 1):
        for loader in (alone, shared):
            loader.batch_sampler.sampler.set_epoch(epoch)
        epochs[epoch] = list(alone)
        torch.rand(epoch + 3)  # the state of the global generator plays no part
        for first, second in zip(epochs[epoch], shared, strict=True):
            assert equal(first, second)
    assert not any(equal(a, b) for a, b in zip(epochs[0], epochs[1], strict=True))


# pain 18
def test_loaders_do_not_touch_the_global_generator(many):
    loader = data_of(many, batch_size=2, train_transforms={"flip": HorizontalFlip()}).train_loader()
    before = torch.get_rng_state()
    list(loader)
    assert torch.get_rng_state().equal(before)


def test_multi_scale_resizes_whole_batches(many):
    data = data_of(many, batch_size=2, multi_scale=[2.0], pad_multiple=1)
    assert {tuple(batch.images.shape[-2:]) for batch in data.train_loader()} == {(60, 80)}
    assert {tuple(batch.images.shape[-2:]) for batch in data.validation_loader()} == {(30, 40)}


def test_the_splits_of_the_format_are_used(coco):
    data = data_of(coco)
    assert data.train_index.path(0).parent.name == "train2017"
    assert data.validation_index.path(0).parent.name == "val2017"
    assert (data.class_names, data.category_ids) == (["dog", "cat"], [3, 7])
    assert [batch.image_ids for batch in data.validation_loader()] == [[1]]


def test_a_fraction_is_held_back_where_there_are_no_splits(many):
    data = data_of(many, validation_fraction=0.25)
    train, held = (set(i.image_ids) for i in (data.train_index, data.validation_index))
    assert (len(train), len(held)) == (6, 2)
    assert train | held == set(range(1, 9))
    again = data_of(many, validation_fraction=0.25)
    assert set(again.validation_index.image_ids) == held
    others = [data_of(many, split_seed=seed).validation_index.image_ids for seed in range(1, 6)]
    assert any(set(ids) != held for ids in others)


def test_the_fraction_does_not_depend_on_the_seed_of_the_run(many):
    first, second = data_of(many), data_of(many)
    second.seed = 99
    assert first.validation_index.image_ids.tolist() == second.validation_index.image_ids.tolist()


def test_a_fraction_is_held_back_if_there_is_only_a_train_split(coco):
    (coco / "annotations/instances_val2017.json").unlink()
    data = data_of(coco, validation_fraction=0.5)
    assert (len(data.train_index), len(data.validation_index)) == (1, 1)


def test_null_holds_back_a_fraction_despite_a_split(coco):
    data = data_of(coco, validation_split=None, validation_fraction=0.5)
    assert data.validation_index.path(0).parent.name == "train2017"


def test_a_split_that_was_named_must_exist(coco):
    with pytest.raises(DataError, match=r"data.validation_split=vall: .*it has train, val"):
        _ = data_of(coco, validation_split="vall").validation_index
    with pytest.raises(DataError, match=r"data.train_split=trian: .*Did you mean 'train'"):
        _ = data_of(coco, train_split="trian").train_index


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_fraction_must_leave_images_on_both_sides(many, fraction):
    with pytest.raises(DataError, match=r"validation_fraction=.* of 8 images leaves"):
        _ = data_of(many, validation_fraction=fraction).validation_index


def test_valid_is_another_name_of_val(tmp_path, coco, pictures):
    (coco / "annotations/instances_val2017.json").rename(coco / "annotations/instances_valid.json")
    (coco / "val2017").rename(coco / "valid")
    assert len(data_of(coco).validation_index) == 1


def test_shared_images_are_warned_of(coco, caplog):
    _ = data_of(coco, validation_split="train").validation_index
    assert "found 2 validation images among the training images" in caplog.text


def test_a_train_split_without_objects_is_an_error(coco, coco_files):
    coco_files(coco / "annotations/instances_train2017.json", ["a.jpg", "b.jpg"], [])
    data = data_of(coco)
    with pytest.raises(DataError, match=r"none of the 2 training images .* has an object"):
        data.train_loader()
    assert len(data.validation_index) == 1


# pain 12
def test_validation_labels_follow_the_names_of_the_train_split(coco, coco_files):
    renumbered = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    objects = [{"image_id": 1, "category_id": 2, "bbox": [1, 1, 4, 4]}]
    file = coco / "annotations/instances_val2017.json"
    coco_files(file, ["c.jpg"], objects, categories=renumbered)
    data = data_of(coco)
    assert data.class_names == ["dog", "cat"]
    assert data.validation_index.labels.tolist() == [0]
    coco_files(file, ["c.jpg"], objects, categories=[{"id": 2, "name": "fox"}])
    with pytest.raises(DataError, match="the split 'train' does not know the classes 'fox'"):
        _ = data_of(coco).validation_index


# pain 11
def test_labels_follow_the_names_of_a_checkpoint(coco):
    data = data_of(coco).with_classes(["cat", "bird", "dog"])
    assert data.validation_index.labels.tolist() == [2]
    assert data.train_index.labels.tolist() == [0, 2]
    assert data.class_names == ["cat", "bird", "dog"]
    assert data.category_ids == [7, 8, 3]
    with pytest.raises(DataError, match="the checkpoint does not know the classes 'dog'"):
        _ = data_of(coco).with_classes(["cat"]).validation_index


def test_measuring_a_checkpoint_reads_no_train_split(coco):
    shutil.rmtree(coco / "train2017")
    data = data_of(coco).with_classes(["cat", "dog"])
    assert [len(batch) for batch in data.validation_loader()] == [1]


def test_limit_images_takes_the_first_of_each_split(many):
    data = data_of(many, limit_images=2)
    assert (len(data.train_index), len(data.validation_index)) == (2, 2)


def test_the_training_images_can_be_measured_without_augmentation(many):
    flipped = {"flip": HorizontalFlip(probability=1.0)}
    data = data_of(many, train_transforms=flipped, batch_size=4, validation_batch_size=3)
    batches = list(data.measuring_loader(data.train_index))
    assert [len(batch) for batch in batches] == [3, 3]
    assert all((batch.to_image == torch.eye(3)).all() for batch in batches)


def test_describe_counts_images_and_objects(many):
    line = data_of(many, validation_fraction=0.25).describe()
    assert "train 6 images, 6 objects; validation 2 images, 2 objects; 2 classes (dog, cat)" in line


def test_describe_of_one_image_is_in_the_singular(many):
    line = data_of(many, validation_fraction=0.25, limit_images=1).describe()
    assert "train 1 image, 1 object; validation 1 image, 1 object; 2 classes" in line


# pain 30
def test_describe_names_images_and_labels_without_a_counterpart(yolo):
    (yolo / "labels/val/z.txt").write_text("0 .5 .5 1 1")
    line = data_of(yolo).describe()
    assert "; train: 1 image without a label file is trained as background (images/train/b" in line
    assert line.endswith("; validation: 1 label file without an image (labels/val/z.txt)")


@pytest.mark.needs_bccd
def test_photographs_become_batches(bccd, caplog):
    with caplog.at_level(logging.WARNING, logger="detkit"):
        data = data_of(bccd, batch_size=4, train_transforms={"small": Resize(short_side=96)})
        batch = next(iter(data.train_loader()))
        assert len(data.validation_index) == 87
    assert batch.images.shape == (4, 3, 96, 128)
    assert batch.image_sizes == [(96, 128)] * 4
    assert min(batch.targets.counts) > 0
    assert "BloodImage_00343" in caplog.text
