import pytest
import torch
from weight_fakes import classes, source_of, tiny_detector, tiny_model

from detkit.config.compose import compose
from detkit.errors import UserError
from detkit.weights.class_layers import ClassRows, class_rows
from detkit.weights.class_names import Slots
from detkit.weights.coverage_report import coverage_text
from detkit.weights.transfer import pair_classes, transfer
from detkit.weights.weight_source import WeightSource

CLASS_LAYER = "head.layers.class_layer.weight"
ANCHORS = 9
WORDS_OF_TWO_STAGES = [
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.neck.out_channels=8",
    "model.roi_head.box_head.width=16",
]


def slots(*names):
    return Slots(list(names), list(range(1, len(names) + 1)))


def logits_of(detector):
    """(A, K, channels, 3, 3) of the class layer."""
    weight = detector.state_dict()[CLASS_LAYER]
    return weight.view(ANCHORS, -1, *weight.shape[1:])


def test_the_same_classes_are_copied_exactly():
    theirs, ours = tiny_detector("abc", seed=1), tiny_detector("abc", seed=2)
    coverage = transfer(
        ours, source_of(theirs, slots(*"abc")), "abc", class_rows(tiny_model(), classes("abc"))
    )
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert coverage.is_complete
    assert len(coverage.matched) == len(theirs.state_dict())
    assert not coverage.unused


# pain 12
def test_classes_in_another_order_are_matched_by_name():
    theirs, ours = tiny_detector(["cat", "dog"], seed=1), tiny_detector(["dog", "cat"], seed=2)
    rows = class_rows(tiny_model(), classes(["dog", "cat"]))
    transfer(ours, source_of(theirs, slots("cat", "dog")), ["dog", "cat"], rows)
    assert torch.equal(logits_of(ours), logits_of(theirs).flip(1))


# pain 12
def test_other_classes_keep_their_first_values():
    theirs, ours = tiny_detector("abc", seed=1), tiny_detector("xcay", seed=2)
    before = logits_of(ours).clone()
    rows = class_rows(tiny_model(), classes("xcay"))
    coverage = transfer(ours, source_of(theirs, slots(*"abc")), "xcay", rows)
    after = logits_of(ours)
    assert torch.equal(after[:, 1], logits_of(theirs)[:, 2])
    assert torch.equal(after[:, 2], logits_of(theirs)[:, 0])
    assert torch.equal(after[:, [0, 3]], before[:, [0, 3]])
    assert (coverage.classes, coverage.new_classes) == (["c", "a"], ["x", "y"])
    assert coverage.left_classes == ["b"]
    assert sorted(coverage.by_class) == [CLASS_LAYER.replace("weight", "bias"), CLASS_LAYER]
    assert not coverage.is_complete


def test_background_of_a_softmax_goes_to_background():
    softmax = tiny_model("retinanet", "model.head.classification_loss=cross_entropy")
    theirs = tiny_detector("abc", softmax, seed=1)
    ours = tiny_detector("b", softmax, seed=2)
    rows = class_rows(softmax, classes("b"))
    assert rows[CLASS_LAYER] == ClassRows(axis=0, priors=ANCHORS, extra=1)
    transfer(ours, source_of(theirs, slots(*"abc")), "b", rows)
    assert torch.equal(logits_of(ours), logits_of(theirs)[:, [1, 3]])


def test_gaps_between_the_classes_are_skipped():
    theirs, ours = tiny_detector("012", seed=1), tiny_detector("ab", seed=2)
    rows = class_rows(tiny_model(), classes("ab"))
    transfer(ours, source_of(theirs, slots(None, "a", "b")), "ab", rows)
    assert torch.equal(logits_of(ours), logits_of(theirs)[:, [1, 2]])


def test_without_names_no_class_is_taken_for_another():
    theirs, ours = tiny_detector("ab", seed=1), tiny_detector("ab", seed=2)
    before = logits_of(ours).clone()
    coverage = transfer(
        ours, source_of(theirs, None), "ab", class_rows(tiny_model(), classes("ab"))
    )
    assert torch.equal(logits_of(ours), before)
    assert coverage.new_classes == ["a", "b"]
    assert "the file names none" in coverage_text(coverage, source_of(theirs, None))


def test_a_head_of_another_kind_is_reshaped_and_keeps_its_values():
    fcos = tiny_model("fcos", "model.head.layers.norm=none")
    theirs, ours = tiny_detector("ab", fcos, seed=1), tiny_detector("ab", seed=2)
    before = logits_of(ours).clone()
    source = source_of(theirs, slots(*"ab"))
    coverage = transfer(ours, source, "ab", class_rows(tiny_model(), classes("ab")))
    assert torch.equal(logits_of(ours), before)
    layers = {name.split(".")[2] for name, _, _ in coverage.reshaped}
    assert layers == {"class_layer", "box_layer"}
    assert {name.split(".")[2] for name in coverage.unused} == {"quality_layer", "scales"}
    text = coverage_text(coverage, source)
    assert "head.layers.box_layer.weight (4, 32, 3, 3) -> (36, 32, 3, 3)" in text
    assert "unused: head.layers (scales), head.layers.quality_layer (weight, bias)" in text


def test_missing_tensors_are_counted_by_part():
    theirs, ours = tiny_detector("ab", seed=1), tiny_detector("ab", seed=2)
    source = source_of(theirs, slots(*"ab"))
    for name in [n for n in source.tensors if n.startswith("neck.")]:
        del source.tensors[name]
    coverage = transfer(ours, source, "ab", class_rows(tiny_model(), classes("ab")))
    assert len(coverage.missing) == 16
    row = next(line for line in coverage_text(coverage, source).splitlines() if "neck" in line)
    assert row.split() == ["neck", "-", "-", "-", "16"]


def test_a_backbone_that_hardly_fits_is_named():
    theirs, ours = tiny_detector("ab", seed=1), tiny_detector("ab", seed=2)
    source = source_of(theirs, slots(*"ab"))
    names = [name for name in source.tensors if name.startswith("backbone.")]
    warning = "MOST OF THE BACKBONE STARTS UNTRAINED"
    for kept in (names, names[:1]):
        for name in set(names) - set(kept):
            del source.tensors[name]
        coverage = transfer(ours, source, "ab", class_rows(tiny_model(), classes("ab")))
        text = coverage_text(coverage, source)
        assert (f"{warning}: 1 of its " in text) is (len(kept) == 1)
        assert (warning in text) is (len(kept) == 1)


def test_half_precision_and_another_memory_format_are_taken():
    theirs, ours = tiny_detector("ab", seed=1), tiny_detector("ba", seed=2)
    ours.to(memory_format=torch.channels_last)
    source = source_of(theirs, slots(*"ab"))
    source.tensors.update({n: v.half() for n, v in source.tensors.items() if v.is_floating_point()})
    transfer(ours, source, "ba", class_rows(tiny_model(), classes("ba")))
    assert torch.equal(logits_of(ours), logits_of(theirs).half().float().flip(1))


def test_weights_that_fit_nowhere_are_an_error():
    source = WeightSource(path="file", kind="x", tensors={"a.b": torch.ones(1)}, is_backbone=True)
    with pytest.raises(
        UserError, match=r"file: none of its 1 tensors fits this detector .a.b there"
    ):
        transfer(tiny_detector("ab"), source, "ab", class_rows(tiny_model(), classes("ab")))


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        (["Dog"], ["dog"], [(0, 0)]),
        (["traffic_light"], ["traffic light"], [(0, 0)]),
        (["dog"], ["Dog", "dog"], [(0, 1)]),
        (["DOG"], ["Dog", "dog"], []),  # which of them, nobody knows
        (["dog", "Dog"], ["dog"], [(0, 0)]),
        (["cat"], ["dog"], []),
    ],
)
def test_names_are_compared_first_as_they_are(own, theirs, expected):
    source = WeightSource(path="file", kind="x", tensors={}, slots=slots(*theirs))
    assert pair_classes(own, source) == expected


def test_rows_of_classes_are_found_in_every_head():
    for head in ("retinanet", "fcos", "atss"):
        rows = class_rows(tiny_model(head), classes("abc"))
        assert {name.rpartition(".")[0] for name in rows} == {"head.layers.class_layer"}
        assert {(r.axis, r.extra) for r in rows.values()} == {(0, 0)}


def two_stage(names, seed, *words):
    small = [*WORDS_OF_TWO_STAGES, *words]
    model = compose("train", ["model=faster_rcnn", *small])["model"]
    return model, tiny_detector(names, model, seed)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_the_boxes_of_each_class_move_with_it(class_agnostic):
    agnostic = f"model.roi_head.class_agnostic={str(class_agnostic).lower()}"
    _, theirs = two_stage("abc", 1, agnostic)
    model, ours = two_stage("cxa", 2, agnostic)
    rows = class_rows(model, classes("cxa"))
    assert rows["roi_head.stage.class_layer.bias"] == ClassRows(axis=0, priors=1, extra=1)
    before = ours.roi_head.stage.box_layer.weight.clone().view(4, -1, 16)
    transfer(ours, source_of(theirs, slots(*"abc")), "cxa", rows)
    found, given = (d.roi_head.stage.box_layer.weight.view(4, -1, 16) for d in (ours, theirs))
    if class_agnostic:
        assert torch.equal(found, given)
    else:  # (code, class): "c" and "a" from there, "x" as it was
        assert torch.equal(found[:, [0, 2]], given[:, [2, 0]])
        assert torch.equal(found[:, 1], before[:, 1])
    logits, of = (d.roi_head.stage.class_layer.bias for d in (ours, theirs))
    assert logits[[0, 2, 3]].tolist() == of[[2, 0, 3]].tolist()


def test_the_first_layer_of_rgb_weights_is_widened():
    model = tiny_model("retinanet", "data=folder", "data.path=x", "data.channels=4")
    theirs, ours = tiny_detector("ab", seed=1), tiny_detector("ab", model, seed=2)
    rows = class_rows(model, classes("ab"))
    assert transfer(ours, source_of(theirs, slots(*"ab")), "ab", rows).is_complete
    narrow, wide = (next(d.backbone.parameters()) for d in (theirs, ours))
    torch.testing.assert_close(wide[:, :3], narrow * 0.75)
    torch.testing.assert_close(wide.sum(1), narrow.sum(1))
