"""docs/reliability.md names the tests of each row, so it must follow the tests."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "reliability" / "table.py"


@pytest.fixture(scope="module")
def table():
    return runpy.run_path(str(SCRIPT))


def test_page_is_up_to_date(table):
    rows = table["yaml"].safe_load(table["ROWS"].read_text())
    expected = table["page"](rows, table["marked_tests"](ROOT / "tests"))
    message = "run: python scripts/reliability/table.py"
    assert table["PAGE"].read_text() == expected, message


def test_marks_are_found_above_beside_and_within_a_test(table, tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    mark = "# pain"
    (folder / "test_marks.py").write_text(
        f"{mark} 3\ndef test_above():\n    pass\n\n"
        f"def test_beside():  {mark} 3\n    pass\n\n"
        f"def test_within(\n    argument,\n):\n    {mark}s 4 and 5: both\n    pass\n"
    )
    found = table["marked_tests"](folder)
    names = {number: [test.name for test in tests] for number, tests in found.items()}
    assert names == {3: ["test_above", "test_beside"], 4: ["test_within"], 5: ["test_within"]}
