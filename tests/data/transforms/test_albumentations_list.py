"""Transforms of albumentations carry boxes and masks, and follow from the seed."""

import pickle

import numpy as np
import pytest
import torch

from detkit.data.transforms import albumentations_list
from detkit.errors import ConfigError, UserError
from detkit.structures import Outlines, Sample, Target
from detkit.structures.outlines import rectangles_of

pytest.importorskip("albumentations")

BOX = [10.0, 6.0, 34.0, 22.0]


def step(*transforms, **options):
    return albumentations_list.Albumentations(transforms=list(transforms), **options)


def painted(channels=3, masks=False):
    """A black image (40, 60) with a white rectangle, which the first object is."""
    image = torch.zeros(40, 60, channels, dtype=torch.uint8)
    image[6:22, 10:34] = 255
    bitmap = image[..., 0].numpy() > 0
    target = Target(
        torch.tensor([BOX, [50, 30, 58, 38]]),
        torch.tensor([1, 0]),
        torch.tensor([False, True]),
        outlines=Outlines.of([rectangles_of(bitmap), []]) if masks else None,
    )
    return Sample(image.permute(2, 0, 1), target, target, 1, "a.jpg", (40, 60))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def extent(image):
    """The box around the white pixels."""
    rows, columns = (image[0] > 127).nonzero().T
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    ("transform", "tolerance"),
    [
        ({"HorizontalFlip": {"p": 1}}, 0),
        ({"RandomRotate90": {"p": 1}}, 0),
        ({"Transpose": {"p": 1}}, 0),
        ({"Resize": {"height": 80, "width": 90, "p": 1}}, 1),
        ({"RandomCrop": {"height": 30, "width": 50, "p": 1}}, 0),
        ({"Affine": {"scale": 0.8, "translate_px": [3, 3], "p": 1}}, 1),
        ({"OneOf": {"transforms": [{"VerticalFlip": {"p": 1}}], "p": 1}}, 0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_box_follows_the_painted_rectangle(transform, tolerance):
    for seed in range(4):
        result = step(transform)(painted(), generator(seed))
        first = result.target.boxes[result.target.labels.tolist().index(1)]
        expected = torch.tensor(extent(result.image)).float()
        assert (first - expected).abs().max() <= tolerance + 1e-3
        assert result.to_image.isnan().all()


def test_masks_follow_too():
    result = step({"HorizontalFlip": {"p": 1}})(painted(masks=True), generator())
    bitmap = result.target.outlines.bitmap(0, result.size)
    assert np.array_equal(bitmap, result.image[0].numpy() > 0)
    assert result.target.outlines.has_mask.tolist() == [True, False]


def test_only_objects_with_a_mask_need_bitmaps(monkeypatch):
    drawn = []
    original = Outlines.bitmap
    monkeypatch.setattr(
        Outlines, "bitmap", lambda self, row, size: drawn.append(row) or original(self, row, size)
    )
    step({"HorizontalFlip": {"p": 1}})(painted(masks=True), generator())
    assert drawn == [0]  # the second object has none, as thousands of proposals


def test_objects_that_are_cut_off_are_dropped_with_their_labels():
    crop = {"Crop": {"x_min": 0, "y_min": 0, "x_max": 40, "y_max": 30}}
    result = step(crop)(painted(masks=True), generator())
    assert result.target.labels.tolist() == [1]
    assert result.target.ignored.tolist() == [False]
    assert len(result.target.outlines) == 1


def test_least_kept_decides_which_cut_objects_stay():
    crop = {"Crop": {"x_min": 22, "y_min": 0, "x_max": 60, "y_max": 40}}  # half of the rectangle
    assert len(step(crop, least_kept=0.6)(painted(), generator()).target) == 1
    assert len(step(crop, least_kept=0.4)(painted(), generator()).target) == 2


@pytest.mark.parametrize("name", ["GaussianBlur", "MotionBlur", "GaussNoise", "CLAHE"])
def test_pixels_change_and_boxes_stay(name):
    sample = painted()
    result = step({name: {"p": 1}})(sample, generator())
    assert not result.image.equal(sample.image)
    assert result.target is sample.target
    assert result.to_image.equal(sample.to_image)
    assert sample.image.equal(painted().image)


def test_images_without_objects_pass():
    empty = painted().replace(target=Target.empty())
    assert len(step({"HorizontalFlip": {"p": 1}})(empty, generator()).target) == 0


def test_the_same_seed_gives_the_same_image_in_a_copy_too():
    first = step({"GaussNoise": {"p": 1}}, "RandomRotate90")
    copy = pickle.loads(pickle.dumps(first))
    for seed in range(3):
        images = [s(painted(), generator(seed)).image for s in (first, copy, first)]
        assert images[0].equal(images[1])
        assert images[0].equal(images[2])


def test_workers_and_a_resumed_epoch_make_the_same_batches(voc):
    from test_detection_data import data_of

    def equal(first, second):
        boxes = [batch.targets.split()[0].boxes for batch in (first, second)]
        return first.images.equal(second.images) and boxes[0].equal(boxes[1])

    steps = {"list": step({"GaussNoise": {"p": 1}}, "HorizontalFlip")}
    whole, workers = (
        list(data_of(voc, train_transforms=steps, batch_size=1, workers=n).train_loader())
        for n in (0, 1)
    )
    rest = list(data_of(voc, train_transforms=steps, batch_size=1).train_loader(skip=(0, 1)))
    assert all(equal(a, b) for a, b in zip(whole, workers, strict=True))
    assert all(equal(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_transforms_of_a_list_draw_independently():
    flips = step({"HorizontalFlip": {"p": 0.5}}, {"VerticalFlip": {"p": 0.5}})
    boxes = {tuple(flips(painted(), generator(n)).target.boxes[0].tolist()) for n in range(40)}
    assert len(boxes) == 4


def test_floating_point_images_keep_their_scale():
    sample = painted()
    deep = sample.replace(image=sample.image.float())
    result = step({"HorizontalFlip": {"p": 1}})(deep, generator())
    torch.testing.assert_close(result.image, sample.image.flip(-1).float())


@pytest.mark.parametrize("channels", [1, 5])
def test_other_channels_pass_where_the_library_takes_them(channels):
    blur = step({"GaussianBlur": {"p": 1}}, {"HorizontalFlip": {"p": 1}})
    assert blur.refused_channels(channels) is None
    assert blur(painted(channels), generator()).image.shape == (channels, 40, 60)
    refused = step({"ChannelDropout": {}}, {"ToSepia": {}})
    assert "does not take images of 5 channels" in refused.refused_channels(5)


@pytest.mark.parametrize(
    ("transforms", "text"),
    [
        (["GausianBlur"], r"no transform 'GausianBlur'\. Did you mean 'GaussianBlur'\?"),
        (["Path"], r"no transform 'Path'"),
        ([{"GaussianBlur": {"limit": 3}}], r"GaussianBlur has no argument 'limit'"),
        ([{"GaussianBlur": {"p": 3}}], r"GaussianBlur refuses its arguments: .*less than or equal"),
        ([{"A": {}, "B": {}}], r"expected a name, or a name with its arguments"),
        ([{"Mosaic": {}}], r"Mosaic needs mosaic_metadata, which detkit does not give it"),
        ([], "transforms is empty"),
    ],
)
def test_wrong_lists_get_one_error(transforms, text):
    with pytest.raises(UserError, match=text):
        step(*transforms)


def test_a_crop_larger_than_the_image_is_explained():
    with pytest.raises(UserError, match=r"cannot change a\.jpg of 60 x 40 pixels"):
        step({"RandomCrop": {"height": 500, "width": 500, "p": 1}})(painted(), generator())


def test_it_is_for_training_images_only():
    from detkit import assembly

    node = {"name": "albumentations", "transforms": ["GaussianBlur"], "least_kept": 0.3}
    with pytest.raises(
        ConfigError, match=r"augmentation\.evaluation\.blur: 'albumentations' moves"
    ):
        assembly.build_transforms({"evaluation": {"blur": node}}, "evaluation")


def test_the_package_with_the_other_licence_is_refused(monkeypatch):
    monkeypatch.setattr(albumentations_list, "distribution", lambda name: name)
    with pytest.raises(UserError, match=r"albumentationsx is installed, whose licence is the AGPL"):
        step("GaussianBlur")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    def fail(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(albumentations_list, "import_module", fail)
    with pytest.raises(UserError, match=r"pip install 'detkit\[albumentations\]'"):
        step("GaussianBlur")


@pytest.mark.parametrize(
    ("transform", "kind"),
    [("Normalize", "float32 with 3 channels"), ("ToGray", "uint8 with 1 channel")],
)
def test_transforms_that_change_the_kind_of_image_are_refused(transform, kind):
    arguments = {"num_output_channels": 1} if transform == "ToGray" else {}
    with pytest.raises(UserError, match=f"albumentations' {transform} turns .* into {kind}"):
        step({"OneOf": {"transforms": [{transform: {"p": 0.5, **arguments}}]}})


@pytest.mark.parametrize("inner", [3, "GaussianBlur"])
def test_compositions_take_lists(inner):
    with pytest.raises(UserError, match=r"OneOf takes a list of transforms, got transforms: "):
        step({"OneOf": {"transforms": inner}})
