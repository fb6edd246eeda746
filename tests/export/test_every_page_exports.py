"""Every page of conf/model exports with its certificate: 1 to 3 minutes for each."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(file.stem for file in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("export_table", ROOT / "scripts/export_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_exports_and_passes_its_certificate(page, script):
    assert script.measured(page)["page"] == page  # a failed certificate exits


def test_the_page_shows_the_rows_that_were_measured(script):
    rows = script.json.loads(script.ROWS.read_text())
    assert script.table(rows) in script.PAGE.read_text()
    assert rows.keys() <= set(PAGES)
