"""SSD's default boxes against the published numbers."""

import pytest
import torch

from detkit.errors import UserError
from detkit.priors import SSDBoxes
from detkit.structures import FeatureSpec

CPU = torch.device("cpu")
SSD300 = {
    "scales": (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
    "steps": (8.0, 16.0, 32.0, 64.0, 100.0, 300.0),
}
SIZES_300 = [(side, side) for side in (38, 19, 10, 5, 3, 1)]


def specs(*strides):
    return [FeatureSpec(1, stride) for stride in strides]


def ssd300(**values):
    return SSDBoxes(feature_specs=specs(8, 16, 32, 64, 64, 64), **{**SSD300, **values})


def sides_and_centres(boxes):
    return (boxes[:, 2:] - boxes[:, :2]), (boxes[:, 2:] + boxes[:, :2]) / 2


def test_ssd300_has_8732_priors_of_the_published_sizes():
    made = ssd300()
    found = made(SIZES_300, CPU)
    assert made.per_cell == [4, 6, 6, 6, 4, 4]
    assert len(found.boxes) == 8732
    sides, centres = sides_and_centres(found.boxes)
    firsts = [int((found.level == level).nonzero()[0]) for level in range(6)]
    squares = torch.tensor([21.0, 45, 99, 153, 207, 261])  # of 300 pixels, for COCO
    torch.testing.assert_close(sides[firsts], squares[:, None].expand(-1, 2))
    middle = torch.tensor([4.0, 8, 16, 32, 50, 150])
    torch.testing.assert_close(centres[firsts], middle[:, None].expand(-1, 2))


def test_ssd512_has_24564_priors():
    made = SSDBoxes(
        feature_specs=specs(8, 16, 32, 64, 128, 256, 256),
        image_size=(512, 512),
        aspect_ratios=((2.0,), *[(2.0, 3.0)] * 4, (2.0,), (2.0,)),
        steps=(8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0),
    )
    assert len(made([(side, side) for side in (64, 32, 16, 8, 4, 2, 1)], CPU).boxes) == 24564


def test_boxes_of_a_cell_in_their_order():
    made = SSDBoxes(
        feature_specs=specs(100), image_size=(100, 100), scales=(0.2, 0.45), aspect_ratios=((4.0,),)
    )
    sides, centres = sides_and_centres(made([(1, 1)], CPU).boxes)
    torch.testing.assert_close(sides, torch.tensor([[20.0, 20], [30, 30], [40, 10], [10, 40]]))
    torch.testing.assert_close(centres, torch.full((4, 2), 50.0))


def test_sizes_are_spaced_evenly_and_the_last_square_is_between_them_and_the_image():
    made = SSDBoxes(feature_specs=specs(8, 16, 32), image_size=(100, 100))
    assert made.per_cell == [4, 4, 4]
    found = made([(13, 13), (7, 7), (4, 4)], CPU)
    sides, _ = sides_and_centres(found.boxes)
    first = [int((found.level == level).nonzero()[0]) for level in range(3)]
    torch.testing.assert_close(sides[first][:, 0], torch.tensor([20.0, 55, 90]))
    torch.testing.assert_close(sides[[first[2] + 1]][0, 0], torch.tensor(100 * 0.9**0.5))


def test_many_levels_have_more_ratios_in_the_middle():
    made = SSDBoxes(feature_specs=specs(8, 16, 32, 64, 128, 256))
    assert made.per_cell == [4, 6, 6, 6, 4, 4]


def test_one_level_goes_from_the_smallest_to_the_largest():
    made = SSDBoxes(feature_specs=specs(32), image_size=(100, 100), smallest=0.2, largest=0.8)
    sides, _ = sides_and_centres(made([(4, 4)], CPU).boxes[:2])
    torch.testing.assert_close(sides[:, 0], torch.tensor([20.0, 40.0]))


@pytest.mark.parametrize(("clip", "widest"), [(True, 300.0), (False, 315 / 300 * 300)])
def test_sides_are_clipped_to_the_image(clip, widest):
    sides, _ = sides_and_centres(ssd300(scales=(1.05,) * 7, clip=clip)(SIZES_300, CPU).boxes)
    assert sides[0, 0] == pytest.approx(widest)


def test_sizes_follow_both_sides_of_the_image():
    made = SSDBoxes(feature_specs=specs(10), image_size=(50, 100), scales=(0.2, 0.2))
    sides, centres = sides_and_centres(made([(5, 10)], CPU).boxes)
    assert sides[0].tolist() == [20.0, 10.0]
    assert centres[0].tolist() == [5.0, 5.0]


def test_without_steps_cells_are_spread_over_the_image():
    made = SSDBoxes(feature_specs=specs(16, 32, 64), image_size=(320, 320))
    found = made([(20, 20), (10, 10), (3, 3)], CPU)
    _, centres = sides_and_centres(found.boxes[found.level == 2])
    assert centres[0].tolist() == pytest.approx([320 / 6] * 2)
    assert found.stride[-1] == pytest.approx(320 / 3)


def test_without_steps_the_finest_map_tells_the_size_of_other_images():
    made = SSDBoxes(feature_specs=specs(16, 32), image_size=(320, 320))
    _, centres = sides_and_centres(made([(10, 30), (5, 15)], CPU).boxes)
    assert centres[-1].tolist() == [480 - 16.0, 160 - 16.0]


def test_an_image_that_is_no_multiple_of_the_stride_has_its_own_size():
    made = SSDBoxes(feature_specs=specs(8, 16), image_size=(300, 300))
    found = made([(38, 38), (19, 19)], CPU)
    assert found.stride[-1] == pytest.approx(300 / 19)


def test_steps_that_do_not_fit_the_maps_say_what_to_do():
    with pytest.raises(
        UserError, match=r"step of 100 pixels does not fit level 5 with 8 x 6 cells"
    ):
        ssd300()([(80, 64), (40, 32), (20, 16), (10, 8), (8, 6), (6, 4)], CPU)
    with pytest.raises(UserError, match=r"resize images to 300 x 300 .*steps to null"):
        ssd300()([(80, 64), (40, 32), (20, 16), (10, 8), (8, 6), (6, 4)], CPU)


def test_too_few_levels_are_refused():
    with pytest.raises(UserError, match=r"`aspect_ratios` has 6 entries, but the neck gives 5"):
        SSDBoxes(feature_specs=specs(8, 16, 32, 64, 64), aspect_ratios=((2.0,),) * 6)
    with pytest.raises(UserError, match=r"`scales` has 7 .*6 \(one for each level, and one more\)"):
        SSDBoxes(feature_specs=specs(8, 16, 32, 64, 64), scales=SSD300["scales"])
    with pytest.raises(UserError, match=r"`steps` has 6 entries"):
        SSDBoxes(feature_specs=specs(8, 16, 32, 64, 64), steps=SSD300["steps"])


def test_steps_fix_the_size_of_images():
    assert SSDBoxes(feature_specs=specs(8, 16, 32, 64, 64, 64), **SSD300).fixed_size == (300, 300)
    assert SSDBoxes(feature_specs=specs(8, 16, 32)).fixed_size is None


def test_steps_of_another_backbone_are_refused():
    with pytest.raises(UserError, match="`steps` begin with 8, but the finest level has stride 4"):
        SSDBoxes(feature_specs=specs(4, 8, 16, 32, 64, 64), **SSD300)
