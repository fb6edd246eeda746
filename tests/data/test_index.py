import numpy as np
import pytest

from detkit.data.fault_messages import NAMES_IN_A_WARNING
from detkit.data.index import Annotation, IndexBuilder
from detkit.data.index_selection import relabel, select
from detkit.errors import DataError


@pytest.fixture
def index(tmp_path, pictures):
    builder = IndexBuilder(tmp_path, ["cat", "dog"], [7, 9])
    for number, name in enumerate(("a.png", "é.png", "c.png")):
        pictures(tmp_path / name, 10, 8)
        builder.add_image(name, number + 10)
        for place in range(number):  # 0, 1 and 2 objects
            box = (place, 0.0, place + 2.5, 4.0)
            builder.add_object(Annotation(place, box, ignored=place == 1, area=3.0))
    return builder.build()


def test_flat_arrays(index, tmp_path):
    assert index.path(1) == tmp_path / "é.png"
    assert index.file_offsets.tolist() == [0, 5, 11, 16]
    assert index.object_offsets.tolist() == [0, 0, 1, 3]
    assert index.boxes.tolist() == [[0, 0, 2.5, 4], [0, 0, 2.5, 4], [1, 0, 3.5, 4]]
    assert index.labels.tolist() == [0, 0, 1]
    assert index.ignored.tolist() == [False, False, True]
    assert (index.boxes.dtype, index.labels.dtype) == (np.float32, np.int64)
    assert index.sizes.tolist() == [[8, 10]] * 3


def test_select_keeps_what_belongs_together(index):
    part = select(index, [2, 0])
    assert [part.path(i).name for i in range(2)] == ["c.png", "a.png"]
    assert part.image_ids.tolist() == [12, 10]
    assert part.object_offsets.tolist() == [0, 2, 2]
    assert part.labels.tolist() == [0, 1]
    assert len(select(index, [])) == 0


def test_relabel_maps_by_name(index):
    mapped = relabel(index, ["bird", "dog", "cat"], "the checkpoint")
    assert mapped.labels.tolist() == [2, 2, 1]
    assert mapped.category_ids == [10, 9, 7]  # bird takes an id that no other class has


def test_relabel_maps_names_with_spaces_of_older_checkpoints(index):
    mapped = relabel(index, ["bird", "dog", " cat"], "the checkpoint")
    assert mapped.class_names == ["bird", "dog", " cat"]
    assert (mapped.labels.tolist(), mapped.category_ids) == ([2, 2, 1], [10, 9, 7])


# pain 11
def test_relabel_names_unknown_classes(index):
    with pytest.raises(DataError, match=r"the checkpoint does not know the classes 'dog' .*'cat'"):
        relabel(index, ["cat", "dogs"], "the checkpoint")


def test_a_class_without_objects_may_be_unknown(index):
    mapped = relabel(select(index, [0, 1]), ["cat"], "the checkpoint")
    assert mapped.class_names == ["cat"]
    assert mapped.labels.tolist() == [0]


def test_a_warning_names_few_files_and_the_index_all(tmp_path, pictures, caplog):
    pictures(tmp_path / "a.png")
    builder = IndexBuilder(tmp_path, ["cat"])
    builder.add_image("a.png", 1)
    for number in range(NAMES_IN_A_WARNING + 5):
        builder.add_image(f"missing{number}.png", number)
    index = builder.build()
    assert "missing14.png" in index.dropped[0]
    assert "missing14.png" not in caplog.text
    assert "15 images (missing file)" in caplog.text
    assert "and 5 more" in caplog.text


def test_boxes_are_clipped_and_too_thin_ones_dropped(tmp_path, pictures):
    pictures(tmp_path / "a.png", 10, 8)
    builder = IndexBuilder(tmp_path, ["cat"])
    builder.add_image("a.png", 1)
    builder.add_object(Annotation(0, (-3, -3, 50, 50)))
    builder.add_object(Annotation(0, (5, 5, 5 + 1e-9, 6)))  # no area in float32
    builder.add_object(Annotation(0, (1, 1, float("inf"), 6)))
    index = builder.build()
    assert index.boxes.tolist() == [[0, 0, 10, 8]]
    assert len(index.dropped) == 2


def test_faults_hold_the_boxes_as_annotated(tmp_path, pictures):
    pictures(tmp_path / "a.png", 10, 8)
    builder = IndexBuilder(tmp_path, ["cat", "dog"])
    assert not builder.add_image("a.png", 1, (10, 8))
    builder.add_image("a.png", 1)
    builder.add_object(Annotation(0, (0.0, 0.0, 4.0, 4.0)))
    builder.add_object(Annotation(1, (6.0, 2.0, 3.0, 5.0)))
    builder.add_object(Annotation(1, (6.0, 2.0, 13.0, 5.0)))
    index = builder.build()
    size, inverted, outside = index.faults
    assert size.detail == "annotated 8 x 10, file 10 x 8"
    assert inverted[1:5] == ("inverted corners", "a.png", (6, 2, 3, 5), 1)
    assert (outside.why, outside.left_out) == ("partly outside the image", False)
    assert index.boxes.tolist() == [[0, 0, 4, 4], [6, 2, 10, 5]]
    assert len(index.dropped) == 2
