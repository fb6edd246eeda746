"""Proposal files: what is written, found again, refused."""

import pickle
import sqlite3

import numpy as np
import pytest
import torch

from detkit.data.proposal_file import ProposalFile, ProposalWriter, content_key
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError

SETTINGS = {"method": "grid", "most": "10"}
BOXES = np.array([[1.5, 2, 30, 20], [0, 0, 40, 30]], np.float32)


@pytest.fixture
def written(voc, tmp_path):
    """A file with the proposals of image `a` of the VOC folder."""
    file = tmp_path / "out" / "proposals.db"
    writer = ProposalWriter(file, SETTINGS)
    image = voc / "JPEGImages" / "a.jpg"
    writer.write(content_key(image), "JPEGImages/a.jpg", BOXES)
    writer.close()
    return file


def test_boxes_are_found_by_content_wherever_the_image_lies(written, voc):
    moved = (voc / "JPEGImages" / "a.jpg").rename(voc / "elsewhere.jpg")
    assert torch.equal(ProposalFile(written).boxes(moved), torch.from_numpy(BOXES))


def test_copies_for_other_processes_read_the_same(written, voc):
    image = voc / "JPEGImages" / "a.jpg"
    copy = pickle.loads(pickle.dumps(ProposalFile(written)))
    assert torch.equal(copy.boxes(image), torch.from_numpy(BOXES))


def test_a_missing_image_is_named_with_the_remedy(written, voc):
    with pytest.raises(DataError, match=r"no proposals for '.*b\.jpg': add them with `detkit data"):
        ProposalFile(written).boxes(voc / "JPEGImages" / "b.jpg")


# pain 94
def test_images_are_checked_before_training(written, voc):
    index = VocReader().read(voc, "train")
    with pytest.raises(DataError, match=r"no proposals for 'JPEGImages/b\.jpg': add them"):
        ProposalFile(written).require(index)


def test_a_renamed_image_passes_the_check(written, voc):
    writer = ProposalWriter(written, SETTINGS)
    writer.write(content_key(voc / "JPEGImages" / "b.jpg"), "former/name.jpg", BOXES[:0])
    writer.close()
    ProposalFile(written).require(VocReader().read(voc, "train"))


def test_a_file_that_does_not_exist_says_how_to_write_it(tmp_path):
    with pytest.raises(DataError, match=r"no proposal file .*write it with `detkit data prop"):
        ProposalFile(tmp_path / "none.db")


@pytest.mark.parametrize("content", [b"text", b"", bytes(range(256)) * 9])
def test_another_file_is_refused_and_not_overwritten(tmp_path, content):
    file = tmp_path / "other.db"
    file.write_bytes(content)
    for open_file in (ProposalFile, lambda path: ProposalWriter(path, SETTINGS)):
        with pytest.raises(DataError, match="is not a proposal file"):
            open_file(file)
    assert file.read_bytes() == content


def test_another_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("create table notes (text)")
    with pytest.raises(DataError, match="is not a proposal file"):
        ProposalWriter(tmp_path / "other.db", SETTINGS)


def test_proposals_of_another_method_are_not_mixed(written):
    with pytest.raises(DataError, match="made with method=grid most=10, and these would be made"):
        ProposalWriter(written, {"method": "run", "most": "10"})


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"output=.*p\.db cannot be written \(.*check the folder"):
        ProposalWriter(tmp_path / "file" / "p.db", SETTINGS)


def test_a_failing_write_is_explained(written):
    writer = ProposalWriter(written, SETTINGS)
    writer.close()  # stands for a disk that went away
    with pytest.raises(DataError, match=r"cannot be written \(.*repeat the command, which contin"):
        writer.write(b"key", "name.jpg", BOXES)
