"""The comparison of post-processors equals an evaluation with each of them."""

import pytest
import torch
from tiny_run import GUESSES

import detkit
from detkit.api.checkpoint_config import compose_with
from detkit.api.evaluation import evaluation_of
from detkit.api.postprocess_comparison import PostprocessComparison, check_grid, expanded
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint

OWN = {"name": "nms", "score_threshold": 0.1, "max_candidates": 50, "iou_threshold": 0.5}
OWN |= {"max_detections": 30, "class_agnostic": False}


def composed(tiny_run, words):
    checkpoint = read_checkpoint(find_checkpoint(str(tiny_run.folder)))
    words = ["ckpt=loaded", "device=cpu", *GUESSES, *words]
    return checkpoint, compose_with(checkpoint, "evaluate", words)


def evaluation_with(tiny_run, words):
    return evaluation_of(*composed(tiny_run, words), device="cpu")


def flattened(batches):
    return [detections for _, images in batches for detections in images]


def compared(tiny_run, names, grid):
    checkpoint, config = composed(tiny_run, [])
    comparison = PostprocessComparison(checkpoint, config)
    return comparison, comparison.choices(names, grid, comparison.run())


# pain 136
def test_each_choice_detects_and_measures_as_detkit_evaluate_does(tiny_run):
    grid = {"iou_threshold": [0.4, 0.7]}
    comparison, choices = compared(tiny_run, ["weighted_boxes_fusion", "nms"], grid)
    assert len(choices) == 5
    own = next(choice for choice in choices if choice.is_own)
    fused = next(choice for choice in choices if choice.name == "weighted_boxes_fusion")
    assert comparison.words(own) == []
    assert set(comparison.words(fused)) >= {
        "model.head.postprocess=weighted_boxes_fusion",
        "model.head.postprocess.score_threshold=0",
        "model.head.postprocess.max_detections=20",
    }
    for choice in (own, fused):
        evaluation = evaluation_with(tiny_run, comparison.words(choice))
        assert evaluation.run().numbers == choice.numbers
        pairs = zip(evaluation.results, flattened(comparison.detections(choice)), strict=True)
        assert all(torch.equal(expected.boxes, found.boxes) for (_, expected), found in pairs)


def test_another_post_processor_keeps_the_limits_of_the_own_one():
    (choice,) = expanded(OWN, ["soft_nms"], {"sigma": [0.3]})
    assert choice.settings["iou_threshold"] == 0.3  # its own default
    assert choice.settings["max_detections"] == 30
    assert choice.varied == {"sigma": 0.3}
    (same,) = expanded(OWN, ["nms", "nms"], {"sigma": [0.3]})
    assert same.settings == {key: value for key, value in OWN.items() if key != "name"}


def test_settings_that_a_post_processor_lacks_are_noted():
    notes = check_grid(["nms", "matrix_nms", "none"], {"iou_threshold": [0.4]})
    assert notes == [
        "matrix_nms has no iou_threshold; it has method, sigma, minimum_score",
        "none has no iou_threshold",
    ]


@pytest.mark.parametrize(
    ("names", "grid", "message"),
    [
        (["softnms"], {}, r"postprocess=softnms: there is no such .* Did you mean 'soft_nms'"),
        (["nms"], {"iou_threshold": [1.5]}, r"iou_threshold=1.5: expected float 0..1 for nms"),
        (["nms", "none"], {"sigma": [1]}, r"sigma: none of nms, none has this setting"),
        (["nms"], {"max_candidates": [9]}, r"max_candidates: decides which candidates the netw"),
    ],
)
def test_wrong_choices_are_explained(names, grid, message):
    with pytest.raises(detkit.UserError, match=message):
        check_grid(names, grid)


def test_tiles_are_refused(tiny_run):
    checkpoint = read_checkpoint(find_checkpoint(str(tiny_run.folder)))
    with pytest.raises(detkit.UserError, match="leave out tiling"):
        PostprocessComparison(checkpoint, {"tiling": {"size": 64}})


def test_views_are_refused(tiny_run):
    checkpoint = read_checkpoint(find_checkpoint(str(tiny_run.folder)))
    with pytest.raises(detkit.UserError, match="leave out tta"):
        PostprocessComparison(checkpoint, {"tta": {"flip": True}})
