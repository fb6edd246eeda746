"""Marks of jobs whose difference to the best one exceeds chance."""

from math import isfinite

import pytest
import torch

from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.match_file import write_matches
from detkit.runs.layout import RunFolder
from detkit.structures import Detections, Target
from detkit.sweeps.results import chance
from detkit.sweeps.results.chance import mark_differences
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import make_table, table_lines


def detected(moved):
    """(image id, detections, target) of 12 images with two objects each, one of which is missed."""
    for image_id in range(1, 13):
        boxes = torch.tensor([[10.0, 10, 50, 50], [60.0, 60, 90 + image_id, 90]])
        labels = torch.tensor([0, image_id % 2])
        target = Target(boxes, labels, torch.zeros(2, dtype=torch.bool))
        scores = torch.tensor([0.5 + image_id / 40])
        yield image_id, Detections(boxes[:1] + moved, scores, labels[:1]), target


def measured(rows):
    metric = CocoMetric(class_names=["a", "b"], category_ids=[1, 2])
    for image_id, detections, target in rows:
        metric.update([image_id], [detections], [target])
    return metric


def job(folder, name, rows):
    metric = measured(rows)
    (folder / name).mkdir()
    write_matches(RunFolder(folder / name).matches, metric.matches()[""])
    numbers = {k: v for k, v in metric.compute().items() if "/" not in k and isfinite(v)}
    return Result(name, {"seed": name}, "done", 1.0, None, 1, numbers, ())


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(chance, "_SAMPLES", 100)
    return list(detected(0))


@pytest.fixture
def results(tmp_path, rows):
    jobs = {"good": rows, "same": rows, "poor": detected(6)}
    return [job(tmp_path, name, of_job) for name, of_job in jobs.items()]


def test_jobs_are_marked(tmp_path, results):
    table, notes = mark_differences(make_table(results), tmp_path)
    assert table.marks == {"good": "best", "same": "by chance", "poor": "worse"}
    assert table.columns[-1] == "vs best"
    assert any(line.split()[0] == "poor" and "worse" in line for line in table_lines(table))
    assert "100 samples, corrected for 3 jobs" in notes[0]


def test_a_job_without_matches_has_no_mark(tmp_path, results):
    RunFolder(tmp_path / "same").matches.unlink()
    table, notes = mark_differences(make_table(results), tmp_path)
    assert set(table.marks) == {"good", "poor"}
    assert "1 job without a mark: an older detkit" in notes[1]


def test_a_job_on_other_images_has_no_mark(tmp_path, rows, results):
    results.append(job(tmp_path, "other", rows[:5]))
    table, notes = mark_differences(make_table(results, where=["seed!=same"]), tmp_path)
    assert len(table.marks) in (0, 2)
    assert "other images, objects or classes" in notes[-1]


def test_a_metric_without_intervals_has_no_marks(tmp_path, results):
    table, notes = mark_differences(make_table(results, "AR100"), tmp_path)
    assert table.marks == {}
    assert notes == ["AR100 has no intervals, so the jobs have no marks: metric=AP has."]


def test_older_sweeps_get_a_note_instead(tmp_path, results):
    for result in results:
        RunFolder(tmp_path / result.name).matches.unlink()
    table, notes = mark_differences(make_table(results), tmp_path)
    assert table.marks == {}
    assert notes[0].startswith("3 jobs without a mark")
