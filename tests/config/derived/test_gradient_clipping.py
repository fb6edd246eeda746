"""`trainer.gradient_clip_norm=auto` clips as the source of the head does, and says so."""

import pytest

from detkit.config.compose import compose
from detkit.config.derived.gradient_clipping import CLIPPING, clipping_notes
from detkit.config.provenance import History


def clipping(*words):
    return compose("train", list(words))["trainer"]["gradient_clip_norm"]


@pytest.mark.parametrize(
    ("page", "norm"),
    [("yolo_free_n", 10.0), ("yolov3", 10.0), ("yolov5n", 10.0), ("fcos", None), ("ssd300", None)],
)
def test_pages_of_yolo_are_clipped_and_others_are_not(page, norm):
    augmentation = ["augmentation=ssd300"] if page == "ssd300" else []
    assert clipping(f"model={page}", *augmentation) == norm


def test_two_stages_have_no_dense_head_to_ask():
    assert clipping("model=faster_rcnn") is None


@pytest.mark.parametrize(("value", "norm"), [("null", None), ("3", 3)])
def test_typed_values_take_precedence(value, norm):
    assert clipping("model=yolov5n", f"{CLIPPING}={value}") == norm


def test_a_run_of_an_earlier_version_resumes_without_it():
    config = compose("train", ["model=yolov5n", f"{CLIPPING}=null"])
    assert compose("resume", [], config)["trainer"]["gradient_clip_norm"] is None


def test_the_note_names_the_head_and_the_way_out():
    (note,) = clipping_notes(compose("train", ["model=yolov5n"]))
    assert "norm of 10, as in the original implementation of the head's layers 'yolo'" in note
    assert f"{CLIPPING}=null" in note
    assert clipping_notes(compose("train", ["model=fcos", f"{CLIPPING}=10"])) == []


def test_the_history_names_the_head():
    words = ["model=yolov5n"]
    found = History("train", compose("train", words), words).explain(CLIPPING)
    assert found[0].steps[-1].source == "from the original implementation of the detector's head"
