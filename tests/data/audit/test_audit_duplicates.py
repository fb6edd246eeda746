"""Images that are in two splits, or twice in one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from detkit.data.audit.duplicates import equal_pairs, is_flat, near_pairs, shifted_correlation
from detkit.data.audit.image_scan import FileFacts, look_at

OPTIONS = {"most_bits": 12, "least_likeness": 0.85}


@pytest.fixture
def facts(tmp_path, scenes):
    """Facts of a picture, after something was done to it."""

    def make(picture: Image.Image, name: str = "a.png", **options) -> FileFacts:
        file = tmp_path / name
        picture.save(file, **options)
        return look_at(file)

    return make


def photo(scenes, seed: int = 0) -> Image.Image:
    """A scene with detail, 400 x 300."""
    return scenes(seed, 400, 300)


def noise(picture: Image.Image) -> Image.Image:
    random = np.random.default_rng(0).normal(0, 12, (*picture.size[::-1], 3))
    return Image.fromarray((np.asarray(picture) + random).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture,
        lambda picture: picture.resize((200, 150)),
        lambda picture: picture.crop((16, 8, 400, 300)),
        lambda picture: picture.point(lambda value: value * 0.7 + 30),
        lambda picture: picture.convert("L"),
        noise,
    ],
    ids=["same", "smaller", "cropped", "darker", "grey", "noise"],
)
def test_a_changed_copy_is_a_near_duplicate(scenes, facts, change):
    original, copy = facts(photo(scenes)), facts(change(photo(scenes)), "b.jpg", quality=60)
    pairs = near_pairs([original], [copy], **OPTIONS)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 0)]


def test_other_scenes_are_not(scenes, facts):
    many = [facts(photo(scenes, seed)) for seed in range(16)]
    assert near_pairs(many[:8], many[8:], **OPTIONS) == []


def test_pairs_equal_a_comparison_one_by_one(scenes, facts, monkeypatch):
    monkeypatch.setattr("detkit.data.audit.duplicates._PRODUCTS_AT_ONCE", 7)
    monkeypatch.setattr("detkit.data.audit.duplicates._PAIRS_AT_ONCE", 2)
    first = [facts(photo(scenes, seed)) for seed in (1, 2, 3, 4, 5)]
    second = [facts(photo(scenes, seed)) for seed in (9, 5, 3, 8, 1, 7)]
    found = {(pair.first, pair.second) for pair in near_pairs(first, second, **OPTIONS)}
    expected = {
        (i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if int((a.bits != b.bits).sum()) <= 12
    }
    assert found == expected == {(0, 4), (2, 2), (4, 1)}


def test_an_image_is_paired_with_the_most_similar_one(scenes, facts):
    darker = photo(scenes).point(lambda value: value * 0.6)
    cropped = photo(scenes).crop((24, 12, 400, 300))
    first = [facts(cropped), facts(photo(scenes)), facts(photo(scenes, 1))]
    pairs = near_pairs(first, [facts(darker)] * 20, **OPTIONS)
    assert [(pair.first, pair.second) for pair in pairs] == [(1, place) for place in range(20)]


def test_blank_images_are_flat_and_never_pairs(facts):
    blank = facts(Image.new("RGB", (64, 48), (9, 9, 9)))
    assert is_flat(blank)
    assert near_pairs([blank, FileFacts(problem="broken")], [blank], **OPTIONS) == []


def test_a_shift_is_allowed_for():
    picture = np.random.default_rng(1).normal(size=(1, 32, 32)).astype(np.float32)
    moved = np.roll(picture, (3, -2), axis=(1, 2))
    assert shifted_correlation(picture, picture)[0] == pytest.approx(1, abs=1e-5)
    assert shifted_correlation(picture, moved)[0] == pytest.approx(1, abs=1e-5)
    assert shifted_correlation(picture, np.roll(picture, 9, axis=1))[0] < 0.5


def test_equal_pairs_go_by_the_bytes(scenes, facts):
    a, b = facts(photo(scenes)), facts(photo(scenes, 1))
    broken = FileFacts(problem="broken")
    assert [tuple(pair) for pair in equal_pairs([a, b, broken], [broken, b])] == [(1, 1, 1.0)]
    assert [tuple(pair) for pair in equal_pairs([a, a], [a, a])] == [(0, 0, 1.0), (0, 1, 1.0)]


def test_an_identical_image_in_train_and_validation_is_an_error(maker):
    shutil.copy(maker.root / "train" / "3.png", maker.root / "val" / "104.png")
    found = maker.findings()
    copies = found["identical images in two splits"]
    assert copies.severity == "error"  # a tenth of val
    example = copies.examples[0]
    assert (example.split, example.name) == ("val", "val/104.png")
    assert example.twin == ("train", "train/3.png")
    assert "near-duplicate images in two splits" not in found  # each pair is named once


def test_a_near_duplicate_in_train_and_validation_is_an_error(maker, scenes):
    scenes(3).point(lambda value: value * 0.8).save(maker.root / "val" / "104.png")
    found = maker.findings()["near-duplicate images in two splits"]
    assert (found.severity, found.count) == ("error", 1)
    assert found.examples[0].twin == ("train", "train/3.png")


def test_between_two_splits_without_training_it_is_a_warning(maker):
    maker.pages["test"] = {**maker.pages["val"], "annotations": [], "images": []}
    (maker.root / "test").mkdir()
    maker.add("test", "t.png", 104)  # the scene of a validation image
    found = maker.findings()["identical images in two splits"]
    assert found.severity == "warning"


def test_a_file_that_both_splits_list(maker):
    for image in maker.pages["val"]["images"][:2]:
        image["file_name"] = f"../train/{image['id']}.png"
    kinds = maker.findings()
    assert any("two splits" in kind for kind in kinds)
    assert next(f for k, f in kinds.items() if "two splits" in k).severity == "error"


def test_copies_within_a_split(maker):
    shutil.copy(maker.root / "train" / "3.png", maker.root / "train" / "4.png")
    maker.pages["train"]["images"][9]["file_name"] = "8.png"
    found = maker.findings()
    assert found["identical images within a split"].examples[0].name == "train/4.png"
    assert found["images listed twice in a split"].examples[0].name == "train/8.png"
