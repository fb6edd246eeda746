"""Samples of several images are functions of (seed, epoch, position), in any process."""

import pytest
import torch

from detkit import assembly
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.shapes import render_shapes
from detkit.data.transforms.colour import HSV
from detkit.data.transforms.flips import HorizontalFlip
from detkit.data.transforms.mixing import CopyPaste, Mixup
from detkit.data.transforms.mosaic import Mosaic
from detkit.data.transforms.perspective import RandomPerspective
from detkit.data.transforms.resizing import Resize
from detkit.errors import ConfigError


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    render_shapes(folder, train_images=8, validation_images=2, image_size=48, seed=0)
    return folder


def steps():
    return {
        "paste": CopyPaste(),
        "mosaic": Mosaic(height=96, width=96),
        "perspective": RandomPerspective(height=48, width=48, degrees=10.0),
        "mixup": Mixup(probability=0.5),
        "colours": HSV(),
        "mirror": HorizontalFlip(),
    }


def dataset_of(folder, seed=0, **options):
    options.setdefault("transforms", steps())
    return DetectionDataset(CocoReader().read(folder, "train"), seed=seed, **options)


def data_of(folder, **options):
    return DetectionData(
        path=str(folder),
        reader=CocoReader(),
        sampling=None,
        train_transforms=steps(),
        evaluation_transforms={},
        seed=0,
        batch_size=2,
        **options,
    )


def same(first, second):
    return first.image.equal(second.image) and first.target.boxes.equal(second.target.boxes)


class Count:
    """Counts its calls, and mixes nothing."""

    def __init__(self, others=2):
        self.others, self.seen = others, []

    def count(self, generator):
        return self.others

    def mix(self, sample, others, generator):
        self.seen.append([other.image_id for other in others])
        return sample


# pain 24
def test_a_mixed_sample_follows_from_seed_epoch_and_position(shapes):
    first, second, other = dataset_of(shapes), dataset_of(shapes), dataset_of(shapes, seed=1)
    keys = [Key(epoch, position) for epoch in range(2) for position in range(4)]
    made = [first[key] for key in keys]
    again = [second[key] for key in reversed(keys)][::-1]
    assert all(same(a, b) for a, b in zip(made, again, strict=True))
    assert not any(same(a, other[key]) for a, key in zip(made, keys, strict=True))
    assert not same(made[0], made[4])


def test_an_image_that_comes_again_in_an_epoch_is_augmented_anew(shapes):
    dataset = dataset_of(shapes)
    assert not same(dataset[Key(0, 3)], dataset[Key(0, 3, repeat=1)])
    assert same(dataset[Key(0, 3)], dataset[Key(0, 3, repeat=0)])


# pain 24
def test_workers_mix_as_one_process_does(shapes):
    alone, shared = (data_of(shapes, workers=n).train_loader() for n in (0, 2))
    for first, second in zip(alone, shared, strict=True):
        assert first.images.equal(second.images)
        assert first.targets.boxes.equal(second.targets.boxes)


def test_others_come_from_all_images_after_the_steps_before(shapes):
    drawn, late = Count(), Count(1)
    dataset = dataset_of(shapes, transforms={"first": drawn, "second": late})
    for position in range(8):
        assert dataset[Key(0, position)].image_id == position + 1
    # the second step makes another sample, for which the first one draws two again
    assert len(late.seen) == 8
    assert len(drawn.seen) == 16
    assert {image for others in drawn.seen for image in others} == set(range(1, 9))


def test_steps_before_are_done_to_the_others_and_later_ones_are_not(shapes):
    class Bright:
        def __call__(self, sample, generator):
            return sample.replace(image=torch.full_like(sample.image, 200))

    class Look(Count):
        def mix(self, sample, others, generator):
            self.seen.append([int(s.image.float().mean()) for s in (sample, *others)])
            return sample

    before, after = Look(), Look()
    dataset_of(shapes, transforms={"bright": Bright(), "look": before})[Key(0, 0)]
    dataset_of(shapes, transforms={"look": after, "bright": Bright()})[Key(0, 0)]
    assert before.seen == [[200, 200, 200]]
    assert 200 not in after.seen[0]


def test_the_last_epochs_mix_nothing(shapes):
    counting = Count()
    dataset = dataset_of(shapes, transforms={"count": counting}, mixing_epochs=2)
    for epoch in range(4):
        dataset[Key(epoch, 0)]
    assert len(counting.seen) == 2


class Reads(DetectionDataset):
    """Counts what it decodes."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.decoded = []

    def read(self, position):
        self.decoded.append(position)
        return super().read(position)


def reading(folder, transforms, **options):
    index = CocoReader().read(folder, "train")
    return Reads(index, transforms=transforms, seed=0, **options)


def test_a_group_is_decoded_once_and_gives_the_same_samples(shapes):
    transforms = {"size": Resize(short_side=40), "mosaic": Mosaic(height=96, width=96)}
    dataset = reading(shapes, transforms)
    keys = [Key(0, position, group=(1, 4, 5, 7)) for position in (7, 4, 1, 5)]
    made = [dataset[key] for key in keys]
    assert sorted(dataset.decoded) == [1, 4, 5, 7]
    assert all(same(reading(shapes, transforms)[k], s) for k, s in zip(keys, made, strict=True))


def test_others_come_from_the_group(shapes):
    counting = Count(12)
    dataset_of(shapes, transforms={"count": counting})[Key(0, 0, group=(2, 3))]
    assert set(counting.seen[0]) == {3, 4}


@pytest.mark.parametrize(
    "first", [{"mirror": HorizontalFlip()}, {"mirror": HorizontalFlip(probability=1.0)}]
)
def test_random_values_are_drawn_anew_for_each_sample(shapes, first):
    mosaic = {"mosaic": Mosaic(height=96, width=96)}
    dataset = reading(shapes, first | mosaic)
    made = [dataset[Key(0, position)] for position in range(8)]
    assert len(dataset.decoded) == 8
    plain = reading(shapes, first | mosaic)
    plain._fixed = 0  # so that no step is done beforehand
    assert all(same(plain[Key(0, position)], made[position]) for position in range(8))


def test_the_cache_is_bounded_and_freed_when_mosaic_closes(shapes, monkeypatch):
    monkeypatch.setattr("detkit.data.detection_dataset._KEPT", 3 * 48 * 48 * 3)  # heard: mosaic RAM
    dataset = reading(shapes, {"mosaic": Mosaic(height=96, width=96)}, mixing_epochs=1)
    for position in range(8):
        dataset[Key(0, position)]
        assert 0 < dataset._recent.held <= 3 * 48 * 48 * 3
    assert len(dataset.decoded) > 8
    dataset[Key(1, 0)]
    assert dataset._recent.held == 0


def test_nothing_is_kept_where_nothing_is_mixed(shapes):
    dataset = reading(shapes, {"mirror": HorizontalFlip()})
    made = [dataset[Key(0, 0)] for _ in range(2)]
    assert dataset.decoded == [0, 0]
    assert same(*made)


def test_a_broken_image_among_the_others_is_replaced(tmp_path):
    render_shapes(tmp_path / "s", train_images=8, validation_images=1, image_size=48, seed=0)
    dataset = dataset_of(tmp_path / "s")
    (tmp_path / "s" / "train" / "000003.jpg").write_bytes(b"broken")
    made = [dataset[Key(0, position)] for position in range(8)]
    assert len(dataset.unreadable) == 1
    again = DetectionDataset(dataset.index, transforms=steps(), seed=0)
    assert all(same(made[p], again[Key(0, p)]) for p in reversed(range(8)))


# pain 18
def test_the_rest_of_an_interrupted_epoch_is_mixed_identically(shapes):
    whole = data_of(shapes, workers=0).train_loader()
    whole.batch_sampler.set_epoch(1)
    rest = data_of(shapes, workers=0).train_loader(skip=(1, 2))
    for first, second in zip(list(whole)[2:], rest, strict=True):
        assert first.images.equal(second.images)
        assert first.image_ids == second.image_ids


def config(train, evaluation, close_mosaic=0, max_epochs=12):
    return {
        "augmentation": {"train": train, "evaluation": evaluation, "close_mosaic": close_mosaic},
        "trainer": {"max_epochs": max_epochs},
    }


MOSAIC = {"name": "mosaic", "height": 64, "width": 64, "jitter": 0.25, "enlarge": True}
MOSAIC |= {"least_kept": 0.1, "fill": 114, "probability": 1.0}


def test_mixing_in_evaluation_is_refused():
    augmentation = config({}, {"four": MOSAIC})["augmentation"]
    expected = r"augmentation\.evaluation\.four: 'mosaic' mixes several images, .* move it to"
    with pytest.raises(ConfigError, match=expected):
        assembly.build_transforms(augmentation, "evaluation")
    assert list(assembly.build_transforms({"train": {"four": MOSAIC}}, "train")) == ["four"]


@pytest.mark.parametrize(("close", "epochs", "mixing"), [(0, 5, 5), (2, 5, 3), (9, 5, -4)])
def test_the_epochs_of_a_training_tell_when_mosaic_closes(close, epochs, mixing):
    assert assembly._mixing_epochs(config({}, {}, close, epochs)) == mixing


def test_the_loader_says_until_when_images_are_mixed(shapes, caplog):
    with caplog.at_level("INFO", logger="detkit.data"):
        data_of(shapes, workers=0, mixing_epochs=2.0).train_dataset()
        data_of(shapes, workers=0, mixing_epochs=-1.0).train_dataset()
    assert "paste, mosaic, mixup: in the first 2 epochs (augmentation.close_mosaic)" in caplog.text
    assert "paste, mosaic, mixup: in no epoch, because augmentation.close_mosaic" in caplog.text


def test_mixing_ends_when_the_training_says_so(shapes):
    dataset = reading(shapes, {"mosaic": Mosaic(height=96, width=96)})
    dataset[Key(0, 0)]
    before = len(dataset.decoded)
    assert dataset.end_mixing()
    dataset[Key(0, 1)]
    assert len(dataset.decoded) == before + 1
    assert not reading(shapes, {}).end_mixing()
