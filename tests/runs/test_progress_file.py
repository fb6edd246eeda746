import pytest

from detkit.runs.layout import RunFolder
from detkit.runs.progress_file import read_status


@pytest.mark.parametrize("content", ["", "{", "[]", '{"epoch": 1}'])
def test_a_status_file_that_cannot_be_read_is_none(tmp_path, content):
    RunFolder(tmp_path).progress.write_text(content)
    assert read_status(tmp_path) is None
