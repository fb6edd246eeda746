import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from detkit.data.drawing.outlines import KINDS, coverage
from detkit.data.drawing.scene import CLASS_NAMES, _Placed, _visible, draw_scene
from detkit.data.readers.auto import AutoReader
from detkit.data.readers.shapes import ShapesReader
from detkit.data.shapes import MARKER, render_shapes
from detkit.errors import DataError

SMALL = {"train_images": 6, "validation_images": 3, "image_size": 64, "seed": 0}


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def scene(seed, clutter=0.5, size=96):
    return draw_scene(np.random.default_rng(seed), size, clutter)


def test_the_same_seed_renders_the_same_files(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert render_shapes(tmp_path / name, **{**SMALL, "seed": seed})
    assert content(tmp_path / "a") == content(tmp_path / "b")
    first, other = content(tmp_path / "a"), content(tmp_path / "c")
    assert all(first[name] != other[name] for name in first)


def test_pictures_do_not_depend_on_how_many_there_are(tmp_path):
    render_shapes(tmp_path / "a", **SMALL)
    render_shapes(tmp_path / "b", **{**SMALL, "train_images": 2})
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    assert first["train/000001.jpg"] == second["train/000001.jpg"]
    assert first["val/000002.jpg"] == second["val/000002.jpg"]


def test_the_folder_is_coco(tmp_path):
    render_shapes(tmp_path / "shapes", **SMALL)
    index = AutoReader().read(tmp_path / "shapes", "train")
    assert (len(index), index.class_names) == (6, list(CLASS_NAMES))
    assert index.sizes.tolist() == [[64, 64]] * 6
    assert index.dropped == []
    assert len(CLASS_NAMES) >= 6


def test_a_rendering_is_used_again_and_replaced_when_a_setting_changes(tmp_path):
    folder = tmp_path / "shapes"
    assert render_shapes(folder, **SMALL)
    assert not render_shapes(folder, **SMALL)
    assert render_shapes(folder, **{**SMALL, "train_images": 2})
    assert len(list((folder / "train").iterdir())) == 2
    assert list(tmp_path.iterdir()) == [folder]  # nothing is left beside it


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holds holiday.jpg, which .* did not write"):
        render_shapes(tmp_path, **SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_rendering_with_something_of_the_users_is_left_alone(tmp_path):
    folder = tmp_path / "shapes"
    render_shapes(folder, **SMALL)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds notes\.txt"):
        render_shapes(folder, **{**SMALL, "seed": 5})
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_broken_off_rendering_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("detkit.data.shapes.draw_scene", fail)
    with pytest.raises(KeyboardInterrupt):
        render_shapes(tmp_path / "shapes", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_reader_renders_what_is_absent(tmp_path, caplog):
    reader = ShapesReader(train_images=4, validation_images=2, image_size=64)
    with caplog.at_level("INFO", logger="detkit"):
        assert reader.splits(tmp_path / "new" / "shapes") == ["train", "val"]
        assert len(reader.read(tmp_path / "new" / "shapes", "val")) == 2
    assert len([r for r in caplog.records if "rendered 6 images" in r.getMessage()]) == 1
    marker = json.loads((tmp_path / "new" / "shapes" / MARKER).read_text())
    assert marker["train_images"] == 4


def test_boxes_are_tight_around_what_is_seen():
    for seed in range(20):
        pixels, objects = scene(seed)
        assert pixels.shape == (96, 96, 3)
        for item in objects:
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 96
            assert 0 < item.area <= (x2 - x1) * (y2 - y1) + 0.25 * (x2 - x1 + y2 - y1) * 2


def test_pictures_vary_in_number_class_and_occlusion():
    objects = [scene([7, seed], size=160)[1] for seed in range(60)]
    flat = [item for found in objects for item in found]
    assert {item.name for item in flat} == set(CLASS_NAMES)
    assert 0 in {len(found) for found in objects}
    assert max(len(found) for found in objects) >= 6
    sides = [item.box[2] - item.box[0] for item in flat if not item.ignored]
    assert min(sides) < 20
    assert max(sides) > 70
    assert sum(item.ignored for item in flat) < 0.05 * len(flat)


def test_boxes_hold_what_is_seen_and_badly_hidden_objects_are_ignored():
    whole = np.zeros((20, 20), dtype=np.float32)
    whole[5:15, 5:15] = 1
    item = _Placed("square", KINDS["square"](None), 0.0, 14.0, (0, 0), (20, 20), whole)
    found = []
    for hidden_rows in (0, 6, 8, 10):
        seen = whole.copy()
        seen[5 : 5 + hidden_rows] = 0
        found.append(_visible(item, seen))
    assert found[0] == ("square", (5, 5, 15, 15), 100.0, False)
    assert found[1] == ("square", (5, 11, 15, 15), 40.0, False)
    assert found[2] == ("square", (5, 13, 15, 15), 20.0, True)  # a fifth is seen
    assert found[3] is None


def test_clutter_makes_pictures_harder():
    def roughness(clutter):
        pictures = [scene(seed, clutter)[0].astype(float) for seed in range(8)]
        return np.mean([np.abs(np.diff(picture, axis=0)).mean() for picture in pictures])

    plain, half, full = (roughness(clutter) for clutter in (0.0, 0.5, 1.0))
    assert plain < half < full


def test_coverage_has_the_area_and_the_centre_of_the_outline():
    down, across = np.mgrid[:40, :40] + 0.5
    outline = KINDS["circle"](np.random.default_rng(0))
    for centre in (np.array([20.0, 20.0]), np.array([19.3, 20.6])):
        mask = coverage(outline.placed(np.eye(2) * 12, centre), (40, 40))
        assert mask.sum() == pytest.approx(np.pi * 12**2, rel=0.03)
        assert (mask * across).sum() / mask.sum() == pytest.approx(centre[0], abs=0.1)
        assert (mask * down).sum() / mask.sum() == pytest.approx(centre[1], abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_outlines_fill_the_unit_circle(kind):
    for seed in range(5):
        outline = KINDS[kind](np.random.default_rng(seed))
        radius = np.hypot(*outline.border.T).max()
        assert 0.9 <= radius <= 1.15
        area = coverage(outline.placed(np.eye(2) * 40, np.array([50.0, 50.0])), (100, 100)).sum()
        assert 0.1 < area / (np.pi * 40**2) <= 1.05
