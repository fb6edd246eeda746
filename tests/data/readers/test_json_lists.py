"""Large JSON is read through windows, and gives what `json.load` gives."""

import json

import pytest

from detkit.data.readers import json_lists
from detkit.data.readers.json_lists import UnreadableJsonError, read_object

ENTRIES = [
    {"id": number, "name": "é}, {" * (number % 3), "outline": [[1.5, -2e3], [number]], "parts": []}
    for number in range(40)
]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(json_lists, "_WINDOW", 200)
    monkeypatch.setattr(json_lists, "_LARGE", 500)


def read(tmp_path, content, **options):
    (tmp_path / "a.json").write_bytes(content)
    found = {"first": [], "second": []}
    takers = {key: found[key].extend for key in found}
    return found, read_object(tmp_path / "a.json", takers, **options)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_windows_change_nothing(tmp_path, indent, ascii_only):
    whole = {"first": ENTRIES, "other": ENTRIES, "second": [1, "x", [ENTRIES[0]], {}, None], "n": 1}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
    found, kinds = read(tmp_path, text.encode())
    assert found == {key: whole[key] for key in found}
    assert kinds == {"first": "list", "other": "list", "second": "list", "n": "number"}


def test_entries_of_entries_and_entries_larger_than_a_window(tmp_path):
    large = [{"parts": ENTRIES[:3]}, {"text": "}, {" * 300}, *ENTRIES]
    found, _ = read(tmp_path, json.dumps({"first": large, "second": []}).encode())
    assert found == {"first": large, "second": []}


def test_unneeded_numbers_are_skipped_if_that_is_faster(tmp_path):
    found, _ = read(tmp_path, json.dumps({"first": ENTRIES}).encode(), without="outline")
    assert [entry["id"] for entry in found["first"]] == list(range(40))
    assert found["first"][0] == ENTRIES[0] | {"outline": [0]}
    others = [[entry[key] for key in ("name", "parts")] for entry in found["first"]]
    assert others == [[entry[key] for key in ("name", "parts")] for entry in ENTRIES]


def test_a_fault_far_from_the_start_is_located(tmp_path):
    text = json.dumps({"first": ENTRIES}, indent=1, ensure_ascii=False)
    broken = text.replace('"id": 30,', '"id" 30,')
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(broken)
    with pytest.raises(UnreadableJsonError) as found:
        read(tmp_path, broken.encode())
    assert str(found.value) == str(expected.value)
