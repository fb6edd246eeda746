"""Marks of jobs whose difference to the best one exceeds chance."""

from math import isfinite

import pytest
import torch
from direct_coco import measured, random_annotations, scenes

from detkit.evaluation.match_file import write_matches
from detkit.runs.layout import RunFolder
from detkit.sweeps.results import chance
from detkit.sweeps.results.chance import mark_differences
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import make_table, table_lines


def job(folder, name, rows):
    metric = measured(rows)
    (folder / name).mkdir()
    write_matches(RunFolder(folder / name).matches, metric.matches()[""])
    numbers = {k: v for k, v in metric.compute().items() if "/" not in k and isfinite(v)}
    return Result(name, {"seed": name}, "done", 1.0, None, 1, numbers, ())


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(chance, "_SAMPLES", 100)
    return scenes(random_annotations(7, images=12), 7, noise=4)


@pytest.fixture
def results(tmp_path, rows):
    moved = [(i, d._replace(boxes=d.boxes + torch.tensor([9.0, 0, 9, 0])), t) for i, d, t in rows]
    return [job(tmp_path, "good", rows), job(tmp_path, "same", rows), job(tmp_path, "poor", moved)]


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


def test_older_sweeps_get_a_note_instead(tmp_path, results):
    for result in results:
        RunFolder(tmp_path / result.name).matches.unlink()
    table, notes = mark_differences(make_table(results), tmp_path)
    assert table.marks == {}
    assert notes[0].startswith("3 jobs without a mark")
