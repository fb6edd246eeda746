"""The folder of a run that was refused before it trained."""

from detkit.runs.layout import RunFolder
from detkit.runs.new_folder import discard_untrained, require_free


def test_a_run_that_fails_in_its_first_batch_leaves_no_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for file in (folder.config, folder.log, folder.environment, folder.progress):
        file.touch()
    discard_untrained(folder.path)
    assert not folder.path.exists()


def test_a_progress_file_alone_does_not_block_a_folder(tmp_path):
    RunFolder(tmp_path).progress.touch()  # of a run that was killed in its first batch
    require_free(tmp_path, "run")
