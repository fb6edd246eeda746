"""Candidates of one- and two-stage detectors are recorded where detections are made of them."""

import pytest
import torch
from operation_pages import batch_of, detector_of, small_words

import detkit
from detkit.errors import UserError
from detkit.inference.detecting import detect
from detkit.inference.recorded_candidates import Candidates, RecordedCandidates
from detkit.postprocess import SoftNMS
from detkit.structures import Detections

CPU = torch.device("cpu")
LOW = "postprocess.score_threshold=0.001"
# A tiny FCOS is a default case of tests/api/test_postprocess_comparison.py.
CASES = [
    *(
        pytest.param(page, (head, "postprocess"), [f"model.{head}.{low}"], marks=pytest.mark.slow)
        for page, head, low in [
            ("fcos", "head", LOW),
            ("faster_rcnn", "roi_head", LOW),
            ("cascade_rcnn", "roi_head", LOW),
            ("refinedet320", "head", LOW),
        ]
    ),
]


def boxes_of(batches):
    return [detections.boxes for _, images in batches for detections in images]


@pytest.mark.parametrize(("page", "path", "words"), CASES)
def test_recorded_candidates_give_the_same_detections(page, path, words):
    words = [*small_words(page), *words]
    detector, batches = detector_of(page, *words), [batch_of(2, 96), batch_of(1, 96)]
    expected = boxes_of(detect(detector, batches, CPU))
    postprocess = detector.get_submodule(path[0]).postprocess
    recorded = RecordedCandidates(detkit.compose([f"model={page}", *words])["model"])
    detected = boxes_of(recorded.detect(detector, batches, CPU))
    again = [image.boxes for batch in recorded.batches for image in batch.detections(postprocess)]
    assert recorded.path == path
    assert recorded.count() > 0
    for boxes, first, second in zip(expected, detected, again, strict=True):
        assert torch.equal(boxes, first)
        assert torch.equal(boxes, second)


@pytest.mark.slow
def test_other_detections_follow_from_the_same_candidates():
    words = [*small_words("fcos"), f"model.head.{LOW}"]
    detector, batch = detector_of("fcos", *words), batch_of(2, 96)
    recorded = RecordedCandidates(detkit.compose(["model=fcos", *words])["model"])
    list(recorded.detect(detector, [batch], CPU))
    soft = SoftNMS(score_threshold=0.001)
    detector.head.postprocess = soft
    expected = boxes_of(detect(detector, [batch], CPU))
    for boxes, image in zip(expected, recorded.batches[0].detections(soft), strict=True):
        assert torch.equal(boxes, image.boxes)


def test_columns_without_a_candidate_are_left_out():
    scores = torch.tensor([[0.0, 0.9, 0.0, 0.5], [0.2, 0.0, 0.0, 0.0]])
    boxes = torch.arange(32.0).view(2, 4, 4)
    compact = Candidates(boxes, scores, torch.arange(4).expand(2, 4), boxes).compact()
    assert compact.scores.tolist() == [[pytest.approx(0.9), 0.5], [pytest.approx(0.2), 0]]
    assert compact.labels.tolist() == [[1, 3], [0, 1]]
    assert torch.equal(compact.boxes[0], boxes[0, [1, 3]])
    assert torch.equal(compact.variances[1, 0], boxes[1, 0])


def test_a_part_that_keeps_its_post_processor_elsewhere_is_named():
    recorded = RecordedCandidates({"head": {"postprocess": {"name": "nms"}}})
    with pytest.raises(UserError, match=r"model.head.postprocess: NoneType does not keep"):
        list(recorded.detect(torch.nn.Module(), [], CPU))


def test_a_detector_without_post_processor_is_named():
    class Silent(torch.nn.Module):
        def predict(self, batch):
            return [Detections.empty()] * len(batch)

    with pytest.raises(UserError, match=r"does not call its post-processor \(none\)"):
        list(RecordedCandidates({}).detect(Silent(), [batch_of(1, 96)], CPU))
