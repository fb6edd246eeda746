"""Every page of conf/model exports with its certificate: 1 to 3 minutes for each."""

import importlib.util
from pathlib import Path

import pytest

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.errors import ConfigError
from detkit.export.problems import refuse_problems

ROOT = Path(__file__).parents[2]
PAGES = sorted(file.stem for file in (ROOT / "conf" / "model").glob("*.yaml"))
REFUSED = {  # pages with a part that no graph can hold, and what its message advises
    "fast_rcnn": "model.roi_head.stage.pooling: .* use pooling 'roi_align'",
    "rcnn": "model.roi_head.stage.pooling: .* export a detector that pools from feature maps",
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("export_table", ROOT / "scripts/export_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in REFUSED])
def test_a_page_exports_and_passes_its_certificate(page, script):
    assert script.measured(page)["page"] == page  # a failed certificate exits


@pytest.mark.slow
@pytest.mark.parametrize(("page", "message"), REFUSED.items())
def test_a_page_with_a_part_that_no_graph_holds_is_refused(page, message):
    model = compose("train", [f"model={page}", "data=shapes"])["model"]
    detector = assembly.build_detector(model, Classes(["a"], [1]), fetch_weights=False)
    with pytest.raises(ConfigError, match=message):
        refuse_problems(detector, nms=True)


def test_the_page_shows_the_rows_that_were_measured(script):
    rows = script.json.loads(script.ROWS.read_text())
    assert script.table(rows) in script.PAGE.read_text()
    assert rows.keys() <= set(PAGES)
