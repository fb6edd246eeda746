import json
import math

from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.metrics_table import class_table, metrics_json, metrics_table, write_metrics

SUMMARY = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
MEANINGS = CocoMetric(class_names=["cat"], category_ids=[1]).meanings
NUMBERS = {name: 0.5 + position / 100 for position, name in enumerate(SUMMARY)}


def test_each_number_is_beside_its_name():
    lines = metrics_table(NUMBERS, [], meanings=MEANINGS).splitlines()
    first = " ".join(lines[0].split())
    assert first == "AP 0.500 IoU 0.50 to 0.95 AR1 0.560 recall, 1 detection"
    assert len(lines) == 6
    for name, value in NUMBERS.items():
        assert f"{name} {value:.3f}" in " ".join(" ".join(lines).split())


def test_every_number_of_coco_has_its_meaning():
    assert list(MEANINGS) == list(SUMMARY)


def test_lines_fit_a_terminal():
    assert max(map(len, metrics_table(NUMBERS, [], meanings=MEANINGS).splitlines())) <= 80


def test_classes_by_hand():
    numbers = {"AP/cat": 0.25, "AP50/cat": 0.5, "AP/dog": math.nan, "AP50/dog": math.nan}
    assert class_table(numbers, ["cat", "dog"], [1234, 0]) == (
        "class   objects      AP    AP50\n"
        "───────────────────────────────\n"
        "cat       1,234   0.250   0.500\n"
        "dog           0       –       –"  # noqa: RUF001
    )


def test_objects_are_omitted_if_they_were_not_counted():
    assert class_table({"AP/cat": 0.25}, ["cat"]).splitlines()[0] == "class      AP"


def test_wide_and_long_names_keep_the_columns():
    names = ["血小板", "x" * 50, "a"]
    lines = class_table({f"AP/{name}": 0.5 for name in names}, names).splitlines()
    assert lines[2].index("0.500") == lines[4].index("0.500") - 3  # three wide letters
    assert lines[3].startswith("x" * 31 + "…")
    assert lines[3].index("0.500") == lines[4].index("0.500")


def test_numbers_of_other_metrics_are_shown():
    assert "mAP        0.750" in metrics_table({"mAP": 0.75}, ["cat"])
    assert "class" not in metrics_table({"mAP": 0.75}, ["cat"])


def test_json_has_null_for_nan(tmp_path):
    write_metrics(tmp_path / "m.json", {"AP": 0.123456789, "AP/ü": math.nan, "x": math.inf})
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"AP": 0.123456789, "AP/ü": None, "x": None}
    assert text == metrics_json({"AP": 0.123456789, "AP/ü": math.nan, "x": math.inf})


def test_numbers_of_masks_are_below_those_of_boxes():
    masks = {f"mask_{name}": value - 0.1 for name, value in NUMBERS.items()}
    lines = metrics_table({**NUMBERS, **masks}, [], meanings=MEANINGS).splitlines()
    assert "mask" not in "".join(lines[:7])
    assert " ".join(lines[7].split()) == "mask_AP 0.400 mask_AR1 0.460"
    assert max(map(len, lines)) <= 80


def test_classes_have_a_column_of_masks():
    table = class_table({"AP/cat": 0.5, "mask_AP/cat": 0.25}, ["cat"])
    assert [line.split() for line in table.splitlines()[::2]] == [
        ["class", "AP", "mask_AP"],
        ["cat", "0.500", "0.250"],
    ]
