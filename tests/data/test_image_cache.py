"""Decoded images are kept, and samples are bit-equal with and without that."""

import logging
import os

import numpy as np
import pytest
from PIL import Image
from test_detection_data import data_of, equal

from detkit.data import image_stores
from detkit.data.image_stores import CacheFolder, FileStore, MemoryStore
from detkit.data.transforms import resampling
from detkit.data.transforms.flips import HorizontalFlip
from detkit.data.transforms.mosaic import Mosaic
from detkit.data.transforms.resizing import Letterbox, Resize
from detkit.errors import DataError

KINDS = ["ram", "disk"]
STEPS = {"resize": Resize(short_side=20), "box": Letterbox(height=32, width=32)}
MIXED = {**STEPS, "mosaic": Mosaic(height=40, width=40), "mirror": HorizontalFlip()}


@pytest.fixture
def cached(voc, tmp_path):
    """Data whose first batches, of two epochs, come with a cache."""

    def build(kind, transforms=STEPS, **options):
        options = {"train_transforms": transforms, "batch_size": 2, **options}
        folder = str(tmp_path / "cache")
        return data_of(voc, cache=kind, cache_folder=folder, index_cache=None, **options)

    return build


def batches(data):
    """The batches of two epochs."""
    loader = data.train_loader()
    result = []
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        result += list(loader)
    return result


def all_equal(first, second):
    return all(equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("transforms", [{}, STEPS, MIXED], ids=["none", "resized", "mixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_bit_equal_with_and_without_a_cache(cached, kind, transforms):
    assert all_equal(batches(cached(kind, transforms)), batches(cached(None, transforms)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_epoch_decodes_nothing(cached, kind, monkeypatch):
    data = cached(kind)
    first = list(data.train_loader())
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decodes"))
    monkeypatch.setattr(
        "detkit.data.image_decoding.decode_image", lambda *_: pytest.fail("decodes")
    )
    assert all_equal(list(data.train_loader()), first)


def test_files_serve_the_next_run_wherever_the_images_are(cached, voc, monkeypatch):
    before = batches(cached("disk"))
    for file in (voc / "JPEGImages").iterdir():
        os.utime(file, (1, 1))  # neither date nor path is part of the key
    monkeypatch.setattr(
        "detkit.data.image_decoding.decode_image", lambda *_: pytest.fail("decodes")
    )
    assert all_equal(batches(cached("disk")), before)


# pain 104
def test_changed_content_is_decoded_again(cached, voc):
    batches(cached("disk"))
    for file in (voc / "JPEGImages").iterdir():
        Image.new("RGB", (40, 30), (10, 200, 30)).save(file)
    assert all_equal(batches(cached("disk")), batches(cached(None)))


def test_other_resizing_has_other_files(cached):
    batches(cached("disk"))
    other = {"resize": Resize(short_side=24)}
    assert all_equal(batches(cached("disk", other)), batches(cached(None, other)))


def test_files_of_a_processor_that_resizes_in_another_way_are_not_used(cached, monkeypatch):
    batches(cached("disk"))
    monkeypatch.setattr(resampling, "RESIZES_BYTES", not resampling.RESIZES_BYTES)
    assert all_equal(batches(cached("disk")), batches(cached(None)))


# pain 104
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_a_damaged_file_is_written_again(cached, tmp_path, content):
    before = batches(cached("disk"))
    file = next((tmp_path / "cache").rglob("*.npy"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] if content is None else content)
    assert all_equal(batches(cached("disk")), before)
    assert file.read_bytes() == whole


# pain 104
def test_a_write_that_is_interrupted_leaves_no_file(cached, tmp_path, monkeypatch):
    monkeypatch.setattr(
        image_stores.np, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        batches(cached("disk"))
    assert not list((tmp_path / "cache").rglob("*.npy*"))


def test_a_full_disk_costs_one_line(cached, monkeypatch, caplog):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_stores.np, "save", fail)
    result = batches(cached("disk"))
    assert caplog.text.count("No space left on device") == 1
    monkeypatch.undo()
    assert all_equal(result, batches(cached(None)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_decoded_each_time(cached, kind, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    data = cached(kind, cache_limit=4e-6)  # one image of 32 x 32 pixels
    assert all_equal(batches(data), batches(cached(None)))
    assert "the first 1 fit, and the others are decoded each time" in caplog.text
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == (kind == "disk")


def test_the_estimate_is_printed(cached, caplog):
    caplog.set_level(logging.INFO)
    cached("ram", cache_limit=2).train_loader()
    assert "data.cache=ram: 2 images, decoded and resized, take 0.00 GB (data.cache_limit=2)" in (
        caplog.text
    )


def test_more_than_the_memory_of_the_machine_is_refused(cached, monkeypatch):
    monkeypatch.setattr(image_stores, "_available_memory", lambda: 100)
    with pytest.raises(DataError, match=r"lower data\.cache_limit, or set data\.cache=disk"):
        cached("ram").train_loader()


def test_files_of_other_data_make_room_the_least_recently_used_first(cached, tmp_path):
    batches(cached("disk"))
    own = sorted((tmp_path / "cache").rglob("*.npy"))
    for age, name in enumerate(("old", "older"), start=1):
        other = tmp_path / "cache" / "00" / f"{name}.pixels.npy"
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(bytes(3200))
        os.utime(other, (1000 - age, 1000 - age))
    own[0].unlink()
    batches(cached("disk", cache_limit=1e-5))
    left = sorted(file.name for file in (tmp_path / "cache").rglob("*.npy"))
    assert left == sorted([*(file.name for file in own), "old.pixels.npy"])


def test_training_and_validation_images_share_the_limit(cached, tmp_path):
    data = cached("disk", cache_limit=7e-6)  # two training images
    loaders = data.train_loader(), data.validation_loader()
    for loader in loaders:
        list(loader)
    files = list((tmp_path / "cache").rglob("*.npy"))
    assert 0 < sum(file.stat().st_size for file in files) <= 7000  # bytes


def test_processes_share_memory():
    store = MemoryStore([(2, 3, 1), (1, 1, 1)], np.uint8)
    child = os.fork()
    if not child:
        store.put(0, np.full((2, 3, 1), 9, np.uint8))
        os._exit(0)
    os.waitpid(child, 0)
    assert store.get(0).ravel().tolist() == [9] * 6
    assert store.get(1) is None


# pain 104
def test_processes_that_write_the_same_file_never_show_a_part_of_it(tmp_path, voc):
    pixels = np.arange(200 * 300 * 3, dtype=np.uint8).reshape(200, 300, 3)
    index = data_of(voc).train_index
    settings = {"settings": "", "dtype": np.uint8}
    store = FileStore(CacheFolder(tmp_path / "c", 10**9), index, [pixels.shape], **settings)
    children = [os.fork() for _ in range(2)]
    if 0 in children:  # a child, which may have a child
        for _ in range(30):
            store.put(0, pixels)
        os._exit(0)
    results = [store.get(0) for _ in range(60)]
    for child in children:
        os.waitpid(child, 0)
    assert all(result is None or np.array_equal(result, pixels) for result in results)
    assert [file.suffix for file in (tmp_path / "c").rglob("*.*")] == [".npy"]


# pain 104
def test_what_a_killed_process_left_is_deleted_after_an_hour(cached, tmp_path):
    parts = [tmp_path / "cache" / "00" / f"{name}.pixels.npy.1-a.part" for name in ("old", "new")]
    for part in parts:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"half")
    os.utime(parts[0], (1, 1))
    cached("disk").train_loader()
    assert [part.exists() for part in parts] == [False, True]


def test_a_copy_may_be_changed():
    store = MemoryStore([(1, 1, 1)], np.uint8)
    store.put(0, np.ones((1, 1, 1), np.uint8))
    store.get(0)[...] = 5
    assert store.get(0).item() == 1


def test_the_undecodable_image_of_a_cached_set_is_replaced(cached, voc):
    data, plain = cached("ram"), cached(None)
    data.train_loader(), plain.train_loader()  # which read the index
    (voc / "JPEGImages" / "b.jpg").write_bytes(b"no image")
    assert all_equal(batches(data), batches(plain))


def test_a_store_without_room_keeps_nothing(tmp_path, voc):
    index = data_of(voc).train_index
    store = FileStore(
        CacheFolder(tmp_path / "c", 2), index, [(1, 1, 3)], settings="", dtype=np.uint8
    )
    store.put(0, np.zeros((1, 1, 3), np.uint8))
    assert store.get(0) is None
