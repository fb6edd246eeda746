import pytest
import torch
from direct_coco import CLASSES, measured, random_annotations, scenes

from detkit.errors import UserError
from detkit.evaluation.class_frequencies import ClassFrequencies
from detkit.evaluation.metrics_table import summary_table
from detkit.evaluation.voc_metric import VocMetric
from detkit.structures import ClassCounts, Detections, Target

GROUPS = ("AP_rare", "AP_common", "AP_frequent")
SCENES = scenes(random_annotations(0))


def counts(*images):
    return ClassCounts(images=1000, images_with_class=list(images), objects=list(images))


def coco(*images, **arguments):
    return measured(SCENES, class_counts=counts(*images), **arguments)


def test_lvis_limits_include_their_ends():
    groups = ClassFrequencies(counts(0, 10, 11, 100, 101), (10, 100))
    assert groups.means([0.1, 0.3, 0.5, 0.7, 0.9]) == pytest.approx(
        {"AP_rare": 0.2, "AP_common": 0.6, "AP_frequent": 0.9}
    )


def test_coco_gives_the_mean_ap_of_the_classes_of_a_group():
    numbers = coco(5, 50, 60, 500).compute()  # no object of the last one, fox
    per_class = [numbers[f"AP/{name}"] for name in CLASSES]
    assert numbers["AP_rare"] == per_class[0]
    assert numbers["AP_common"] == pytest.approx((per_class[1] + per_class[2]) / 2)
    assert numbers["AP_frequent"] != numbers["AP_frequent"]  # NaN
    assert numbers["AP"] == pytest.approx(sum(per_class[:3]) / 3)


def test_voc_has_the_same_groups():
    metric = VocMetric(class_names=["cat", "dog"], class_counts=counts(5, 50))
    box, nothing = torch.tensor([[0.0, 0.0, 9.0, 9.0]]), torch.tensor([False])
    cat, dog = Target(box, torch.tensor([0]), nothing), Target(box, torch.tensor([1]), nothing)
    both = Detections(box.repeat(2, 1), torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    metric.update([1, 2], [both, both], [cat, dog])
    numbers = metric.compute()
    assert (numbers["AP_rare"], numbers["AP_common"]) == (numbers["AP/cat"], numbers["AP/dog"])
    assert "AP_frequent" not in numbers


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_counts": None},
        {"class_counts": counts(500, 500, 500, 500)},
        {"class_counts": counts(5, 50, 60, 500), "frequency_limits": None},
    ],
)
def test_one_group_or_unknown_counts_add_no_number(arguments):
    metric = measured(SCENES, **arguments)
    assert not {*GROUPS} & {*metric.compute(), *metric.meanings}


def test_limits_are_settable_and_must_ascend():
    assert "AP_common" in coco(5, 50, 60, 500, frequency_limits=(1, 55)).compute()
    with pytest.raises(UserError, match=r"frequency_limits are \[9, 9\], expected .* \[10, 100\]"):
        coco(5, 50, 60, 500, frequency_limits=(9, 9))


def test_groups_are_in_the_table_which_fits_a_terminal():
    metric = coco(5, 50, 60, 500)
    lines = summary_table(metric.compute(), metric.meanings).splitlines()
    assert any(line.startswith("AP_rare      0.") for line in lines)
    assert any("AP_common" in line and "11 to 100 images" in line for line in lines)
    assert max(map(len, lines)) <= 80
