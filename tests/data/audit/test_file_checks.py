"""Each check of files, on a data set with a finding."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from detkit.data.audit.audit_report import as_text
from detkit.data.audit.evidence import gather
from detkit.data.audit.image_scan import look_at, scan
from detkit.data.audit.rules import audit, training_would_suffer
from detkit.data.readers.labelme import LabelmeReader
from detkit.data.readers.voc_reader import VocReader
from detkit.data.readers.yolo_reader import YoloReader


def test_a_sound_data_set_has_no_finding(maker):
    assert maker.findings() == {}


# pain 23
def test_a_truncated_image_is_found_by_decoding_it(maker):
    file = maker.root / "train" / "3.png"
    file.write_bytes(file.read_bytes()[:-400])
    found = maker.findings()["broken or truncated images"]
    assert (found.severity, found.count, found.total) == ("warning", 1, 30)
    assert found.examples[0].name == "train/3.png"


def test_a_truncated_jpeg_is_found(tmp_path, scenes):
    file = tmp_path / "a.jpg"
    scenes(1, 400, 300).save(file)
    assert look_at(file).problem is None
    file.write_bytes(file.read_bytes()[:-2000])
    assert look_at(file).problem


# pain 23
def test_a_text_file_named_png_and_a_missing_file(maker):
    (maker.root / "train" / "0.png").write_text("<html>404 not found</html>")
    (maker.root / "val" / "101.png").unlink()
    found = maker.findings()
    assert found["files that are not images"].examples[0].name == "train/0.png"
    missing = found["images whose file is missing"]
    assert (missing.counts, missing.severity) == ({"val": 1}, "error")  # more than 5% of val


def test_many_unreadable_files_are_an_error(maker):
    for number in range(2):
        (maker.root / "train" / f"{number}.png").write_text("no image")
    found = maker.findings()["files that are not images"]
    assert (found.severity, found.count) == ("error", 2)


# pain 23
def test_a_size_that_differs_from_the_annotated_one(maker):
    maker.pages["train"]["images"][4]["width"] = 80
    found = maker.findings()["images whose size differs from the annotated one"]
    assert found.severity == "warning"
    assert found.examples[0].detail == "annotated 80 x 48, file 64 x 48"
    for image in maker.pages["train"]["images"][:2]:
        image["height"] = 480
    assert maker.findings()["images whose size differs from the annotated one"].severity == "error"


LEFT_OUT = {
    "size": "images whose size differs from the annotated one",
    "bytes": "files that are not images",
}


@pytest.mark.parametrize("how", LEFT_OUT)
def test_an_image_left_out_weighs_at_least_as_much_as_a_box(maker, how):
    page = maker.pages["train"]
    page["annotations"] = page["annotations"][:18]  # of 20 images
    if how == "size":
        page["images"][19]["width"] = 80
    else:
        (maker.root / "train" / "19.png").write_text("no image")
    assert maker.findings()[LEFT_OUT[how]].severity == "error"
    maker.annotate("train", 1, "cat", (5, 5, 0, 9))
    assert maker.findings()["boxes without area"].severity == "error"  # 1 of 19


def test_images_left_out_for_several_reasons_count_together(maker):
    maker.pages["train"]["images"][19]["width"] = 80
    (maker.root / "train" / "0.png").write_text("no image")
    found = maker.findings()
    assert [found[kind].severity for kind in LEFT_OUT.values()] == ["error"] * 2  # 2 of 20


def test_an_image_without_boxes_among_others_without_is_no_error(maker):
    maker.pages["train"]["annotations"] = []
    (maker.root / "train" / "0.png").write_text("no image")
    assert maker.findings()["files that are not images"].severity == "warning"


# pain 23
def test_exif_orientation_is_named(maker, scenes):
    turned = Image.Exif()
    turned[0x0112] = 3
    scenes(5).save(maker.root / "train" / "5.png", exif=turned)
    found = maker.findings()["images with EXIF orientation"]
    assert (found.severity, found.examples[0].detail) == ("note", "EXIF orientation 3")


@pytest.mark.parametrize(
    ("name", "picture", "kind"),
    [
        ("a.png", Image.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)), "8 bits"),
        ("a.png", "P", "palette images"),
        ("a.jpg", "CMYK", "CMYK images"),
    ],
    ids=["16 bits", "palette", "CMYK"],
)
def test_unusual_images_are_notes(maker, scenes, name, picture, kind):
    maker.add("train", name, 7)
    picture = scenes(50).convert(picture) if isinstance(picture, str) else picture
    picture.save(maker.root / "train" / name)
    found = next(f for title, f in maker.findings().items() if kind in title)
    assert (found.severity, [e.name for e in found.examples]) == ("note", [f"train/{name}"])


def test_blank_and_tiny_images(maker):
    Image.new("RGB", (64, 48), (90, 90, 90)).save(maker.root / "train" / "2.png")
    maker.add("train", "tiny.png", 7, [("cat", (1, 1, 9, 9))], width=30, height=20)
    Image.effect_noise((30, 20), 90).convert("RGB").save(maker.root / "train" / "tiny.png")
    found = maker.findings()
    assert found["blank images"].examples[0].name == "train/2.png"
    assert found["images with a side below 32 pixels"].examples[0].detail == "30 x 20 pixels"


def test_an_image_that_no_split_lists(maker, scenes):
    scenes(70).save(maker.root / "train" / "forgotten.png")
    found = maker.findings()["images without their COCO record"]
    assert (found.severity, found.examples[0].name) == ("note", "train/forgotten.png")


def test_a_split_that_cannot_be_read_is_an_error_and_the_other_is_looked_at(maker):
    maker.pages["val"]["categories"] = []
    findings = audit(maker.evidence())
    assert training_would_suffer(findings)
    refused = next(f for f in findings if f.kind == "splits that cannot be read")
    assert refused.examples[0].split == "val"
    assert "no categories" in refused.examples[0].detail


def test_the_report_of_one_image_is_in_the_singular(maker):
    del maker.pages["val"]
    page = maker.pages["train"]
    page["images"], page["annotations"] = page["images"][:1], page["annotations"][:1]
    page["categories"] = page["categories"][:1]
    evidence = maker.evidence(requested=["train"])
    assert "  1 class: cat\n  train  1 image, 1 box\n" in as_text(evidence, [], 100)


def test_the_remedy_for_an_unreadable_split_is_not_cut_off(maker):
    for number in range(100, 110):
        (maker.root / "val" / f"{number}.png").rename(maker.root / f"{number}.txt")
    evidence = maker.evidence()
    text = as_text(evidence, audit(evidence), 100)
    assert max(map(len, text.splitlines())) <= max(100, len(str(maker.root)) + 20)
    said = " ".join(text.split())
    assert evidence.refused["val"] in said
    assert "or set data.reader.images to their folder, relative to data.path." in said


def test_a_split_without_a_readable_image_is_an_error(maker):
    for number in range(100, 110):
        (maker.root / "val" / f"{number}.png").write_text("no image")
    found = maker.findings()["splits that cannot be read"]
    assert found.severity == "error"
    assert "no usable image" in found.examples[0].detail


def test_xml_that_cannot_be_read(tmp_path, scenes, voc_pages):
    for number in range(3):
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        scenes(number, 40, 30).save(tmp_path / "JPEGImages" / f"{number}.jpg")
        voc_pages(tmp_path, str(number), [("cat", 0, 1, 1, 20, 10)])
    page = tmp_path / "Annotations" / "1.xml"
    page.write_text(page.read_text()[:40])
    found = {f.kind: f for f in audit(gather(VocReader(), tmp_path))}
    lost = found["annotation files dropped (unreadable XML)"]
    assert (lost.severity, lost.examples[0].name) == (
        "error",
        "Annotations/1.xml",
    )  # a third of all


def test_a_yolo_folder_is_looked_at_too(yolo):
    (yolo / "labels/train/a.txt").write_text("1 0.5 0.5 0.5 0.2\n7 0.5 0.5 0.1 0.1\n0 .5 .5 0 .2\n")
    found = {f.kind: f for f in audit(gather(YoloReader(), yolo))}
    assert found["boxes of an unknown class"].count == 1
    assert found["boxes without area"].count == 1


def test_scanning_keeps_the_order_and_each_file_once(maker):
    paths = sorted((maker.root / "train").iterdir())
    seen = [path for path, _ in scan(iter(paths), threads=3)]
    assert seen == paths
    assert list(scan([])) == []


def test_unused_values_are_named(maker):
    maker.annotate("train", 1, "cat", (5, 30, 9, 9), segmentation=[[5, 30, 14, 30, 14, 39]])
    found = maker.findings()["kinds of values that are not used"]
    assert (found.severity, found.examples[0].detail) == ("note", "segmentation (1)")


def test_an_annotation_id_that_two_boxes_have_is_a_note(maker):
    maker.annotate("train", 1, "cat", (5, 30, 9, 9), id=1)
    found = maker.findings()["annotations (one id for several boxes)"]
    assert (found.severity, found.count, found.unit) == ("note", 1, "ids")
    assert found.examples[0].name == "train/0.png"
    assert found.examples[0].detail == "annotation 1: cat [4, 4, 20, 16] and cat [5, 30, 9, 9]"
    assert "renumber the annotations" in found.advice


def test_shapes_without_a_box_are_reported_as_skipped(labelme):
    file = labelme / "train/a.json"
    page = json.loads(file.read_text())
    page["shapes"].append({"label": "cat", "shape_type": "point", "points": [[20, 15]]})
    file.write_text(json.dumps(page))
    findings = audit(gather(LabelmeReader(), labelme, threads=1))
    (finding,) = [f for f in findings if f.kind == "shapes (a point gives no box)"]
    assert finding.advice.startswith("They are not used.")
