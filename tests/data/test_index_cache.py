"""Indices kept for the next start: equal to new ones, never stale, and no fault stops anything."""

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detkit import assembly
from detkit.config.compose import compose
from detkit.data import data_set_state, index_cache
from detkit.data.audit.evidence import read_splits
from detkit.data.index_cache import IndexCache, cache_at
from detkit.data.readers.auto import AutoReader
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError
from detkit.structures import DatasetIndex

TRAIN = "annotations/instances_train2017.json"


@pytest.fixture(autouse=True)
def _small_and_new_data_sets_count(monkeypatch):
    monkeypatch.setattr(index_cache, "_FEWEST", 1)
    monkeypatch.setattr(data_set_state, "_SETTLING", -60.0)


@pytest.fixture
def cache(tmp_path_factory):
    return IndexCache(tmp_path_factory.mktemp("cache") / "indices")


class Counting(CocoReader):
    """Counts how often it reads."""

    reads = 0

    def read(self, path, split):
        Counting.reads += 1
        return super().read(path, split)


@pytest.fixture
def reads():
    """How often `Counting` has read since the test began."""
    before = Counting.reads
    return lambda: Counting.reads - before


def require_equal(first: DatasetIndex, second: DatasetIndex) -> None:
    for field in fields(DatasetIndex):
        values = getattr(first, field.name), getattr(second, field.name)
        if isinstance(values[0], np.ndarray):
            assert values[0].dtype == values[1].dtype
            np.testing.assert_array_equal(*values)
        else:
            assert values[0] == values[1], field.name


# pain 84
def test_a_kept_index_equals_a_new_one_with_all_its_faults(coco, cache, reads):
    page = json.loads((coco / TRAIN).read_text())
    page["images"].append({"id": 9, "file_name": "gone.jpg", "width": 4, "height": 4})
    boxes = [[30, 20, 50, 50], [1, 1, 0, 5]]  # one is clipped, one dropped
    page["annotations"] += [{"image_id": 2, "category_id": 7, "bbox": box} for box in boxes]
    (coco / TRAIN).write_text(json.dumps(page))
    new, kept = (cache.read(Counting(), coco, "train") for _ in range(2))
    assert reads() == 1
    assert {fault.what for fault in kept.faults} == {"image", "box"}
    require_equal(new, kept)
    require_equal(new, CocoReader().read(coco, "train"))


def test_a_kept_index_logs_what_reading_logged(coco, cache, caplog):
    (coco / "train2017/b.jpg").unlink()
    texts = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO, "detkit.data"):
            cache.read(AutoReader(), coco, "train")
        texts.append([(r.levelno, r.getMessage()) for r in caplog.records])
    assert texts[1][0][1].startswith(f"{coco} is unchanged: using its index in {cache.folder}")
    assert texts[1][1:] == texts[0]
    assert any("left out of" in text for _, text in texts[0])


def test_an_index_read_without_messages_is_no_use_to_those_who_want_them(coco, cache, reads):
    logger = logging.getLogger("detkit.data")
    logger.disabled = True
    cache.read(Counting(), coco, "train")
    logger.disabled = False
    cache.read(Counting(), coco, "train")
    assert reads() == 2


def _same_time(file: Path, write) -> None:
    """Change a file, and set its time and size to what they were."""
    entry = file.stat()
    write(file)
    assert file.stat().st_size == entry.st_size
    os.utime(file, ns=(entry.st_atime_ns, entry.st_mtime_ns))


def _other_box(file: Path) -> None:
    file.write_text(file.read_text().replace("[2, 3, 10, 5]", "[2, 3, 10, 6]"))


def _other_header(file: Path) -> None:
    size = file.stat().st_size
    Image.new("RGB", (60, 20)).save(file)
    with file.open("ab") as stream:
        stream.write(bytes(size - file.stat().st_size))


# pain 84
@pytest.mark.parametrize(
    ("name", "write"), [(TRAIN, _other_box), ("train2017/b.jpg", _other_header)]
)
def test_a_change_with_equal_size_and_time_is_noticed(coco, cache, reads, name, write):
    cache.read(Counting(), coco, "train")
    _same_time(coco / name, write)
    index = cache.read(Counting(), coco, "train")
    assert reads() == 2
    require_equal(index, CocoReader().read(coco, "train"))


# pain 84
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "train2017/a.jpg").unlink(),
        lambda root: (root / "train2017/a.jpg").rename(root / "train2017/z.jpg"),
        lambda root: (root / "val2017/c.jpg").rename(root / "train2017/c.jpg"),
        lambda root: (root / "annotations/instances_val2017.json").write_text('{"images": []}'),
        lambda root: Image.new("RGB", (9, 9)).save(root / "train2017/new.png"),
    ],
)
def test_files_that_come_go_or_move_are_noticed(coco, cache, reads, change):
    cache.read(Counting(), coco, "train")
    change(coco)
    cache.read(Counting(), coco, "train")
    assert reads() == 2


def test_splits_settings_and_folders_have_indices_of_their_own(coco, cache, reads):
    for reader, split in ((Counting(), "train"), (Counting(), "val")):
        cache.read(reader, coco, split)
    cache.read(Counting(images="train2017"), coco, "train")
    assert reads() == len(list(cache.folder.iterdir())) == 3


def test_other_code_or_another_pillow_reads_anew(coco, cache, reads, monkeypatch):
    cache.read(Counting(), coco, "train")
    monkeypatch.setattr(index_cache, "_version", lambda: "another")
    cache.read(Counting(), coco, "train")
    assert reads() == 2


def test_a_plugin_that_extends_the_reader_has_indices_of_its_own(coco, cache):
    class Blind(CocoReader):
        def read(self, path, split):
            return replace(super().read(path, split), class_names=["a", "b"])

    cache.read(CocoReader(), coco, "train")
    assert cache.read(Blind(), coco, "train").class_names == ["a", "b"]


def test_files_that_have_just_changed_are_not_trusted(coco, cache, reads, monkeypatch):
    monkeypatch.setattr(data_set_state, "_SETTLING", 60.0)
    cache.read(Counting(), coco, "train")
    assert not cache.folder.exists()


def test_images_outside_the_folder_are_not_kept(coco, cache, reads, tmp_path):
    cache.read(Counting(images=str(coco / "train2017")), coco, "train")
    assert list(cache.folder.iterdir())  # an absolute path below the folder
    page = json.loads((coco / TRAIN).read_text())
    page["images"][0]["file_name"] = "../../outside/a.jpg"
    (coco / TRAIN).write_text(json.dumps(page))
    (tmp_path.parent / "outside").mkdir(exist_ok=True)
    (coco / "train2017/a.jpg").rename(tmp_path.parent / "outside/a.jpg")
    for _ in range(2):
        cache.read(Counting(), coco, "train")
    assert reads() == 3
    assert len(list(cache.folder.iterdir())) == 1


def test_small_data_sets_are_not_kept(coco, cache, monkeypatch):
    monkeypatch.setattr(index_cache, "_FEWEST", 5)
    cache.read(CocoReader(), coco, "train")  # two images and two objects
    assert not cache.folder.exists()


def test_a_change_while_it_is_read_is_not_kept(coco, cache):
    class Changing(CocoReader):
        def read(self, path, split):
            index = super().read(path, split)
            _other_box(path / TRAIN)
            return index

    cache.read(Changing(), coco, "train")
    assert not cache.folder.exists()


# pain 84
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-100],
        lambda content: content[:20],
        lambda content: b"",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"not an index at all" * 10,
    ],
)
def test_a_damaged_index_costs_one_line(coco, cache, reads, damage, caplog):
    new = cache.read(Counting(), coco, "train")
    (file,) = cache.folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.INFO, "detkit.data"):
        require_equal(cache.read(Counting(), coco, "train"), new)
    assert [text for text in caplog.messages if "not using the index in" in text] == caplog.messages
    cache.read(Counting(), coco, "train")
    assert reads() == 2  # it has been replaced


# pain 84
def test_a_folder_that_cannot_be_written_costs_one_line(coco, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.INFO, "detkit.data"):
        index = IndexCache(tmp_path / "file" / "x").read(CocoReader(), coco, "train")
    (line,) = caplog.messages
    assert "cannot be kept in" in line
    assert "Set data.index_cache to another folder, or to null." in line
    require_equal(index, CocoReader().read(coco, "train"))


# pain 84
def test_a_full_disk_leaves_no_part_of_a_file(coco, cache, monkeypatch, caplog):
    def fail(stored, file):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_cache, "save", fail)
    with caplog.at_level(logging.INFO, "detkit.data"):
        assert len(cache.read(CocoReader(), coco, "train")) == 2
    assert "(No space left on device)" in caplog.text
    assert not list(cache.folder.iterdir())


# pain 84
def test_processes_that_write_at_once_leave_a_whole_index(coco, cache, reads):
    with ThreadPoolExecutor(8) as pool:
        indices = list(pool.map(lambda _: cache.read(Counting(), coco, "train"), range(16)))
    before = reads()
    for index in indices:
        require_equal(index, indices[0])
    assert len(list(cache.folder.iterdir())) == 1
    require_equal(cache.read(Counting(), coco, "train"), indices[0])
    assert reads() == before


def test_what_dead_processes_left_is_deleted(coco, cache):
    cache.folder.mkdir()
    old, new = (cache.folder / f"a.index.{name}.part" for name in ("1-aa", "2-bb"))
    for part in (old, new):
        part.write_text("")
    os.utime(old, (0, 0))
    cache.read(CocoReader(), coco, "train")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_faulty_data_set_raises_what_its_reader_raises(coco, cache):
    (coco / TRAIN).write_text("{")
    with pytest.raises(DataError, match="cannot be read as COCO JSON"):
        cache.read(CocoReader(), coco, "train")
    with pytest.raises(DataError, match="there is no folder"):
        cache.read(CocoReader(), coco / "nowhere", "train")


def test_readers_that_do_not_name_their_sources_read_each_time(voc, cache):
    for reader in (VocReader(), AutoReader()):
        assert len(cache.read(reader, voc, "train")) == 2
    assert not cache.folder.exists()


def test_names_and_texts_of_any_kind_are_kept(coco, cache, reads, coco_files, pictures):
    name = "train2017/é\udcff.jpg"
    try:
        pictures(coco / name.replace(".jpg", ".png")).rename(coco / name)
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system takes no such name")
    coco_files(coco / TRAIN, [name], [])
    new, kept = (cache.read(Counting(), coco, "train") for _ in range(2))
    assert reads() == 1
    assert kept.path(0) == coco / name
    require_equal(new, replace(kept))


def test_the_folder_of_a_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_at("auto").folder == tmp_path / "detkit/indices"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_at("auto").folder == Path("/home/someone/.cache/detkit/indices")
    assert cache_at("~/kept").folder == Path("/home/someone/kept")
    assert cache_at(None) is None


def test_the_data_block_keeps_indices_where_it_is_told(coco, tmp_path, monkeypatch):
    words = ["model=fcos", "data=folder", f"data.path={coco}", f"data.index_cache={tmp_path}/kept"]
    for _ in range(2):
        assert len(assembly.build_data(compose("train", words)).train_index) == 2
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_checks_of_a_data_set_read_its_files(coco, monkeypatch):
    monkeypatch.setattr(IndexCache, "read", lambda *_: pytest.fail("an index was used"))
    splits, refused, _ = read_splits(AutoReader(), coco, None)
    assert [split.name for split in splits] == ["train", "val"]
    assert not refused
