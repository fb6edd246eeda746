import math
import pickle
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from direct_coco import (
    CLASSES,
    IDS,
    NAMES,
    TOLERANCE,
    expected_numbers,
    measured,
    random_annotations,
    require_equal,
    run_directly,
    scenes,
)

from detkit.errors import DataError
from detkit.evaluation.coco_metric import CocoMetric
from detkit.structures import Detections, Target

NO_DETECTIONS = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
ONE_BOX = torch.tensor([[10.0, 10.0, 50.0, 50.0]])


def target(*boxes, labels=None, ignored=None, areas=None):
    return Target(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels or [0] * len(boxes)),
        ignored=torch.tensor(ignored or [False] * len(boxes)),
        areas=areas,
    )


def found(*boxes, scores=None, labels=None):
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores or [0.9] * len(boxes)),
        torch.tensor(labels or [0] * len(boxes)),
    )


def compute(*images, **arguments):
    rows = [(number, *image) for number, image in enumerate(images, start=1)]
    return measured(rows, names=["thing"], ids=[1], **arguments).compute()


backends = pytest.mark.parametrize("backend", list(TOLERANCE))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [0, 2])
@backends
def test_equals_pycocotools_on_the_files(tmp_path, seed, decimals, backend):
    content = random_annotations(seed, decimals=decimals)
    rows = scenes(content, seed)
    expected = expected_numbers(run_directly(tmp_path, content, rows), content)
    assert 0 < expected["AP"] < 1
    assert math.isnan(expected["AP/fox"])
    require_equal(measured(rows, backend=backend).compute(), expected, TOLERANCE[backend])


@backends
def test_equals_pycocotools_with_more_than_100_detections_of_a_class(tmp_path, backend):
    content = random_annotations(3, images=3)
    rows = scenes(content, noise=260, classes=2)
    assert max((labels == 0).sum() for _, (_, _, labels), _ in rows) > 100
    expected = expected_numbers(run_directly(tmp_path, content, rows), content)
    require_equal(measured(rows, backend=backend).compute(), expected, TOLERANCE[backend])


@backends
def test_equals_pycocotools_with_one_score_for_all(tmp_path, backend):
    content = random_annotations(5)
    rows = [
        (image_id, some._replace(scores=torch.full_like(some.scores, 0.5)), objects)
        for image_id, some, objects in scenes(content, 5)
    ]
    expected = expected_numbers(run_directly(tmp_path, content, rows), content)
    require_equal(measured(rows, backend=backend).compute(), expected, TOLERANCE[backend])


def test_order_of_images_does_not_matter(tmp_path):
    content = random_annotations(6)
    rows = scenes(content, 6)
    require_equal(measured(rows[::-1]).compute(), measured(rows).compute())


def bccd_annotations(folder, names):
    """The objects of some photographs in COCO form; VOC's first pixel is 1."""
    classes, rows = ["RBC", "WBC", "Platelets"], []
    for image_id, name in enumerate(names, start=1):
        tree = ElementTree.parse(folder / "Annotations" / f"{name}.xml")
        for item in tree.findall("object"):
            ends = [
                float(item.findtext(f"bndbox/{end}")) for end in ("xmin", "ymin", "xmax", "ymax")
            ]
            left, top, right, bottom = ends[0] - 1, ends[1] - 1, ends[2], ends[3]
            box = [left, top, right - left, bottom - top]
            row = {"id": len(rows) + 1, "image_id": image_id, "bbox": box, "iscrowd": 0}
            category = classes.index(item.findtext("name")) + 1
            rows.append({**row, "area": box[2] * box[3], "category_id": category})
    return {
        "images": [{"id": i} for i in range(1, len(names) + 1)],
        "annotations": rows,
        "categories": [{"id": i, "name": n} for i, n in enumerate(classes, start=1)],
    }


@pytest.mark.needs_bccd
@backends
def test_equals_pycocotools_on_blood_cells(tmp_path, bccd, backend):
    names = (bccd / "ImageSets" / "Main" / "val.txt").read_text().split()[:12]
    content = bccd_annotations(bccd, names)
    rows = scenes(content, classes=3)
    metric = measured(rows, names=["RBC", "WBC", "Platelets"], ids=[1, 2, 3], backend=backend)
    numbers = metric.compute()
    expected = expected_numbers(run_directly(tmp_path, content, rows), content)
    require_equal(numbers, expected, TOLERANCE[backend])
    assert 0.1 < numbers["AP50/RBC"] < 1


def test_a_perfect_detection_is_worth_one():
    numbers = compute((found([10, 10, 50, 50]), target([10, 10, 50, 50])))
    assert numbers["AP"] == numbers["AP/thing"] == pytest.approx(1, abs=1e-12)
    assert numbers["AR1"] == 1
    assert math.isnan(numbers["AP_small"])
    assert numbers["AP_medium"] == pytest.approx(1, abs=1e-12)


def test_an_iou_of_three_quarters_passes_six_of_ten_thresholds():
    numbers = compute((found([0, 0, 40, 30]), target([0, 0, 40, 40])))
    assert numbers["AP"] == pytest.approx(0.6, abs=1e-12)
    assert (numbers["AP50"], numbers["AP75"]) == pytest.approx((1, 1), abs=1e-12)


def test_no_detections_give_zeros():
    numbers = compute((NO_DETECTIONS, target([10, 10, 50, 50])))
    assert {name: numbers[name] for name in ("AP", "AP50", "AR100", "AP/thing")} == dict.fromkeys(
        ("AP", "AP50", "AR100", "AP/thing"), 0.0
    )


@pytest.mark.parametrize(
    "images", [(), ((found([0, 0, 9, 9]), Target.empty()),), ((NO_DETECTIONS, Target.empty()),)]
)
def test_without_objects_all_numbers_are_nan(images):
    numbers = compute(*images)
    assert list(numbers) == [*NAMES, "AP/thing", "AP50/thing"]
    assert all(map(math.isnan, numbers.values()))


def test_detection_inside_an_ignored_object_does_not_count():
    objects = target([10, 10, 50, 50], [100, 100, 300, 300], ignored=[False, True])
    inside = found(
        [10, 10, 50, 50], [110, 110, 150, 150], [200, 200, 250, 250], scores=[0.5, 0.9, 0.8]
    )
    assert compute((inside, objects))["AP"] == pytest.approx(1, abs=1e-12)
    outside = found([10, 10, 50, 50], [400, 400, 450, 450], scores=[0.5, 0.9])
    assert compute((outside, objects))["AP"] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("areas", "size"),
    [(None, "medium"), ([math.nan], "medium"), ([1000.0], "small"), ([9999.0], "large")],
)
def test_annotated_areas_sort_objects_by_size(areas, size):
    areas = None if areas is None else torch.tensor(areas)
    numbers = compute((found([0, 0, 50, 50]), target([0, 0, 50, 50], areas=areas)))
    sizes = [s for s in ("small", "medium", "large") if not math.isnan(numbers[f"AR_{s}"])]
    assert sizes == [size]


def test_another_limit_of_detections_names_the_recall_and_changes_the_precision():
    content = random_annotations(3, images=3)
    rows = scenes(content, noise=400, classes=1)
    few, many = measured(rows).compute(), measured(rows, max_detections=300).compute()
    assert [name for name in many if name.startswith("AR")][:3] == ["AR1", "AR10", "AR300"]
    assert many["AR300"] >= few["AR100"] > 0
    assert many["AR10"] == few["AR10"]
    assert not math.isnan(many["AP"])


@backends
def test_a_limit_above_100_equals_pycocotools_except_where_its_summary_breaks(tmp_path, backend):
    content = random_annotations(3, images=3)
    rows = scenes(content, noise=400, classes=1)
    evaluation = run_directly(tmp_path, content, rows, limits=(1, 10, 300))
    assert evaluation.stats[0] == -1  # its AP asks for a limit of 100
    expected = expected_numbers(evaluation, content)
    expected["AR300"] = expected.pop("AR100")
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    expected["AP"] = precision[precision > -1].mean()
    numbers = measured(rows, max_detections=300, backend=backend).compute()
    require_equal(numbers, expected, TOLERANCE[backend])


def test_a_limit_below_ten():
    boxes = [[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(8)]
    numbers = compute((found(*boxes), target(*boxes)), max_detections=4)
    assert [name for name in numbers if name.startswith("AR")][:2] == ["AR1", "AR4"]
    assert (numbers["AR1"], numbers["AR4"]) == (1 / 8, 4 / 8)


def test_ranks_together_equal_one_process():
    rows = scenes(random_annotations(7, images=7), 7)
    first, second = measured(rows[::2]), measured(rows[1::2])
    states = pickle.loads(pickle.dumps([first.state(), second.state()]))
    first.merge(states[1:])
    second.merge(states[:1])
    require_equal(first.compute(), measured(rows).compute())
    require_equal(second.compute(), first.compute())


def test_an_image_that_two_ranks_saw_counts_once_and_alike_on_both():
    rows = scenes(random_annotations(8), 8)
    image_id, some, objects = rows[1]
    slightly_other = some._replace(boxes=some.boxes + 0.01)
    first, second = measured(rows), measured([(image_id, slightly_other, objects)])
    before = second.state()
    second.merge([first.state()])
    first.merge([before])
    assert first.counts() == second.counts() == measured(rows).counts()
    require_equal(first.compute(), second.compute())


def test_a_repeated_image_counts_once():
    metric = measured([])
    rows = scenes(random_annotations(9), 9)
    for image_id, some, objects in [*rows, *rows]:
        metric.update([image_id], [some], [objects])
    require_equal(metric.compute(), measured(rows).compute())


def test_state_does_not_change_later():
    metric = measured(scenes(random_annotations(9), 9))
    state = metric.state()
    metric.update([1000], [NO_DETECTIONS], [Target.empty()])
    assert 1000 not in state["images"]


def test_batches_may_be_changed_after_they_were_given():
    some, objects = found([10, 10, 50, 50]), target([10, 10, 50, 50])
    metric = measured([(1, some, objects)], names=["thing"], ids=[1])
    some.boxes.zero_()
    objects.boxes.zero_()
    assert metric.compute()["AP50"] == pytest.approx(1, abs=1e-12)


def test_reset_forgets():
    metric = measured(scenes(random_annotations(9), 9))
    metric.reset()
    assert metric.counts().images == 0
    assert math.isnan(metric.compute()["AP"])


def test_counts():
    objects = target([0, 0, 9, 9], [0, 0, 8, 8], [0, 0, 7, 7], labels=[1, 1, 0], ignored=[0, 0, 1])
    objects = replace(objects, ignored=objects.ignored.bool())
    rows = [(1, found([0, 0, 9, 9], [1, 1, 9, 9]), objects), (2, NO_DETECTIONS, Target.empty())]
    counts = measured(rows).counts()
    assert (counts.images, counts.ignored, counts.detections) == (2, 1, 2)
    assert counts.objects == [0, 2, 0, 0]
    assert str(counts) == "2 images, 2 objects and 1 ignored one, 2 detections"


def test_bfloat16_detections_are_taken():
    some = found([8, 8, 48, 48])
    some = Detections(some.boxes.bfloat16(), some.scores.bfloat16(), some.labels)
    assert compute((some, target([8, 8, 48, 48])))["AP"] == pytest.approx(1, abs=1e-12)


@backends
def test_backends_print_nothing(capfd, backend):
    compute((found([0, 0, 9, 9]), target([0, 0, 9, 9])), backend=backend)
    assert capfd.readouterr() == ("", "")


def test_non_finite_boxes_are_no_matches(caplog):
    some = found([10, 10, 50, 50], [0, 0, 5, 5], scores=[math.nan, 0.5])
    broken = Detections(torch.full((1, 4), math.nan), torch.ones(1), torch.zeros(1).long())
    numbers = compute((some, target([10, 10, 50, 50])), (broken, target([10, 10, 50, 50])))
    assert numbers["AR100"] == 0
    assert caplog.text.count("not finite") == 1


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_of_no_class_is_refused(label):
    metric = CocoMetric(class_names=CLASSES, category_ids=IDS)
    wrong = Detections(ONE_BOX, torch.ones(1), torch.tensor([label]))
    with pytest.raises(DataError, match=rf"image 5: detection with label {label}.*knows 4 classes"):
        metric.update([5], [wrong], [Target.empty()])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_object_without_a_finite_box_is_refused(value):
    metric = CocoMetric(class_names=["thing"], category_ids=[1])
    wrong = target([0, 0, 9, 9], [0, 0, value, 9])
    with pytest.raises(DataError, match=r"image 5: object 1 has the box .*detkit data check"):
        metric.update([5], [NO_DETECTIONS], [wrong])


@pytest.mark.parametrize("ids", [[1], [1, 1]])
def test_each_class_needs_its_own_id(ids):
    with pytest.raises(DataError, match=r"2 class names and the category ids"):
        CocoMetric(class_names=["a", "b"], category_ids=ids)
