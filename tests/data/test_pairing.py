"""Images and annotation files with different names are matched only if the match is unique."""

from pathlib import Path

import pytest

from detkit.data.pairing import describe_pairing, describe_pairings, match_unequal_names
from detkit.structures import Pairing

ROOT = Path("data")


def matches(images, annotations, paired=()):
    return [
        (match.image.as_posix(), match.annotation.as_posix(), match.difference)
        for match in match_unequal_names(
            ROOT,
            images=[ROOT / name for name in images],
            annotations=[ROOT / name for name in annotations],
            paired=[ROOT / name for name in paired],
        )
    ]


@pytest.mark.parametrize(("image", "annotation", "difference"), [
    ("images/train/a.jpg", "labels/train/A.txt", "name ignoring case"),
    ("Images/train/a.jpg", "Labels/Train/a.txt", "name ignoring case"),
    ("images/train/a.jpg", "labels/train/a.TXT", "name with the suffix .TXT"),
    ("images/train/a.jpg", "labels/train/a.jpg.txt", "name with the image's suffix"),
    ("images/train/a b.jpg", "labels/train/a%20b.txt", "URL-decoded name"),
    ("images/train/a%20b.jpg", "labels/train/a b.txt", "URL-decoded name"),
    ("images/train/a.jpg", "labels/a.txt", "name in another folder"),
    ("Train/Images/a.jpg", "Train/Labels/a.txt", "name in another folder"),
    ("images/train/a.jpg", "labels/train_a.txt", "name in another folder"),
    ("train/photos/a.jpg", "train/texts/a.xml", "name in another folder"),
    ("images/a.jpg", "labels/0a1b2c3d-a.txt", "name without the Label Studio prefix"),
    ("images/e\u0301.jpg", "labels/\u00e9.txt", "name in another Unicode form"),
])  # fmt: skip
def test_one_annotation_of_another_spelling_is_matched(image, annotation, difference):
    assert matches([image], [annotation]) == [(f"data/{image}", f"data/{annotation}", difference)]


@pytest.mark.parametrize(("images", "annotations"), [
    (["images/train/a.jpg", "images/val/a.jpg"], ["labels/a.txt"]),  # two images
    (["images/a.jpg"], ["labels/a.TXT", "labels/a.jpg.txt"]),  # two label files
    (["images/a.jpg"], ["labels/b.txt"]),
    (["images/0a1b2c3d-a.jpg"], ["labels/ffffffff-a.txt"]),  # two uploads of one name
])  # fmt: skip
def test_ambiguous_names_are_not_matched(images, annotations):
    assert matches(images, annotations) == []


# pain 30
def test_a_paired_image_still_counts_against_a_loose_match():
    images, annotations = ["images/train/a.jpg", "images/val/a.jpg"], ["labels/train/a.txt"]
    old = ["labels/old/a.txt"]
    assert matches(images, [*annotations, *old], [images[0], *annotations]) == []


def test_the_same_split_goes_before_another_folder():
    images = ["train/photos/1.jpg", "val/photos/1.jpg"]
    annotations = ["texts/train/1.txt", "texts/val/1.txt"]
    pairs = {(Path(i).parts[1], Path(a).parts[2]) for i, a, _ in matches(images, annotations)}
    assert pairs == {("train", "train"), ("val", "val")}


def test_a_description_counts_and_names_a_few():
    pairing = Pairing("label file", {}, ["a.txt", "b.txt", "c.txt", "d.txt"], ["x.jpg"])
    assert describe_pairing(pairing) == (
        "4 label files without an image (a.txt, b.txt, c.txt and 1 more); "
        "1 image without a label file is trained as background (x.jpg)"
    )


def test_parts_of_one_split_are_described_once():
    pairing = Pairing("XML file", {}, [], ["x.jpg", "y.jpg"], images_train=False)
    text = "2 images without an XML file are not used (x.jpg, y.jpg)"
    assert describe_pairings({"train": pairing, "validation": pairing}) == [text]
    assert describe_pairings({"train": pairing, "validation": Pairing()}) == [f"train: {text}"]
