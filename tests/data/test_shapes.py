import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detkit.data.drawing.outlines import KINDS, coverage
from detkit.data.drawing.scene import CLASS_NAMES, _Placed, _visible, draw_scene
from detkit.data.readers.auto import AutoReader
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.shapes_reader import ShapesReader
from detkit.data.shapes import MARKER, render_shapes
from detkit.errors import DataError
from detkit.runs.data_fingerprint import fingerprint

SMALL = {"train_images": 6, "validation_images": 3, "image_size": 64, "seed": 0}


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def test_a_place_that_cannot_be_written_is_answered_with_the_key_to_set(tmp_path):
    (tmp_path / "datasets").write_text("a file, as nothing stops root from writing")
    reader = ShapesReader(train_images=1, validation_images=1, image_size=32)
    with pytest.raises(DataError, match=r"cannot be written .*: add data=shapes data\.path=FOLDER"):
        reader.read(tmp_path / "datasets" / "shapes", "train")


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


def reader(**settings):
    return ShapesReader(**{"train_images": 6, "validation_images": 3, "image_size": 64, **settings})


def test_a_rendering_is_used_again_and_never_replaced(tmp_path):
    folder = tmp_path / "shapes"
    assert render_shapes(folder, **SMALL)
    assert not render_shapes(folder, **SMALL)
    before = content(folder)
    with pytest.raises(DataError, match=r"shapes of other settings \(train_images 6, not 2\)"):
        render_shapes(folder, **{**SMALL, "train_images": 2})
    assert content(folder) == before
    assert list(tmp_path.iterdir()) == [folder]  # nothing is left beside it


def test_other_settings_leave_the_pictures_of_a_running_training_alone(tmp_path):
    running = reader().read(tmp_path, "train")
    before, seen = content(running.root), fingerprint(running)
    others = [reader(train_images=2), reader(render_seed=5), reader(clutter=0.9)]
    roots = {other.read(tmp_path, "train").root for other in others}
    assert len(roots | {running.root}) == 4
    assert content(running.root) == before
    resumed = reader().read(tmp_path, "train")
    assert (resumed.root, fingerprint(resumed)) == (running.root, seen)


def test_a_rendering_of_an_older_release_is_used_in_place(tmp_path):
    render_shapes(tmp_path / "old", **SMALL)
    assert reader().read(tmp_path / "old", "val").root == tmp_path / "old"
    other = reader(render_seed=5).read(tmp_path / "old", "val").root
    assert other.parent == tmp_path / "old"
    assert reader().read(tmp_path / "old", "val").root == tmp_path / "old"


def test_the_fingerprint_does_not_depend_on_the_folder_of_the_settings(tmp_path):
    render_shapes(tmp_path / "old", **SMALL)
    before = fingerprint(CocoReader().read(tmp_path / "old", "train"))
    assert fingerprint(reader().read(tmp_path / "new", "train")) == before


def test_two_that_render_the_same_at_once_both_end_well(tmp_path, monkeypatch):
    faster = []

    def while_another_is_faster(*arguments):
        if not faster:
            faster.append(None)
            faster[0] = reader().read(tmp_path, "train")
        return draw_scene(*arguments)

    monkeypatch.setattr("detkit.data.shapes.draw_scene", while_another_is_faster)
    slower = reader().read(tmp_path, "train")
    assert slower.root == faster[0].root
    assert fingerprint(slower) == fingerprint(faster[0])
    assert list(tmp_path.iterdir()) == [slower.root]


def test_four_at_once_of_two_settings(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        indices = list(
            pool.map(lambda n: reader(render_seed=n % 2).read(tmp_path, "val"), range(4))
        )
    assert len({index.root for index in indices}) == 2
    assert sorted(tmp_path.iterdir()) == sorted({index.root for index in indices})


def test_remains_of_a_killed_process_are_ignored(tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("detkit.data.shapes.shutil.rmtree", lambda *_, **__: None)
        broken.setattr("detkit.data.shapes._render_split", interrupt)
        with pytest.raises(KeyboardInterrupt):
            reader().splits(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert len(reader().read(tmp_path, "train")) == 6


def test_a_foreign_folder_is_refused_and_unchanged(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holds holiday.jpg, which .* did not write"):
        render_shapes(tmp_path, **SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_path_with_something_of_the_users_is_refused(tmp_path):
    folder = reader().read(tmp_path, "train").root
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds mine, which the renderer of shapes did not write"):
        reader(render_seed=5).splits(tmp_path)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert reader().read(tmp_path, "train").root == folder  # that of these settings is there


def test_a_folder_in_the_place_of_a_rendering_is_refused(tmp_path):
    folder = reader().read(tmp_path, "train").root
    (folder / MARKER).unlink()
    with pytest.raises(DataError, match=r"holds annotations, train, val, which .* did not write"):
        reader().splits(tmp_path)
    assert len(list((folder / "train").iterdir())) == 6


def test_a_file_as_path_is_refused(tmp_path):
    (tmp_path / "shapes").write_text("mine")
    with pytest.raises(DataError, match=r"shapes' is a file; set data\.path to a folder"):
        reader().splits(tmp_path / "shapes")


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_broken_off_rendering_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("detkit.data.shapes.draw_scene", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render_shapes(tmp_path / "shapes", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_reader_renders_a_missing_data_set(tmp_path, caplog):
    small, path = reader(train_images=4, validation_images=2), tmp_path / "new" / "shapes"
    with caplog.at_level("INFO", logger="detkit"):
        assert small.splits(path) == ["train", "val"]
        assert len(small.read(path, "val")) == 2
    assert len([r for r in caplog.records if "rendered 6 images" in r.getMessage()]) == 1
    (folder,) = path.iterdir()
    assert json.loads((folder / MARKER).read_text())["train_images"] == 4


def test_boxes_are_tight_around_the_visible_part():
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


def test_boxes_hold_the_visible_part_and_badly_hidden_objects_are_ignored():
    whole = np.zeros((20, 20), dtype=np.float32)
    whole[5:15, 5:15] = 1
    item = _Placed("square", KINDS["square"](None), 0.0, 14.0, (0, 0), (20, 20), whole)
    found = []
    for hidden_rows in (0, 6, 8, 10):
        seen = whole.copy()
        seen[5 : 5 + hidden_rows] = 0
        found.append(_visible(item, seen))
    assert found[0][:4] == ("square", (5, 5, 15, 15), 100.0, False)
    assert found[1][:4] == ("square", (5, 11, 15, 15), 40.0, False)
    assert found[2][:4] == ("square", (5, 13, 15, 15), 20.0, True)  # a fifth is seen
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
