"""Pickles of arrays are read without calling what they name; all others are refused."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from detkit.errors import UserError
from detkit.weights.array_pickle import is_array_pickle, read_array_pickle


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def written(folder, value, protocol=4):
    path = folder / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_all_layouts_become_tensors(tmp_path, protocol):
    wide = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        "plain": wide,
        "transposed": wide.T,
        "big_endian": wide.astype(">f8"),
        "whole": np.arange(3),
        "empty": np.zeros((0, 4), np.float16),
        "number": np.float32(2.5),
    }
    content = {"model": OrderedDict(arrays), "author": "somebody", "rest": [1, None, (2.0,)]}
    read = read_array_pickle(written(tmp_path, content, protocol))
    for name, array in arrays.items():
        expected = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        assert read["model"][name].dtype == expected.dtype
        assert torch.equal(read["model"][name], expected)
    assert (read["author"], read["rest"]) == ("somebody", [1, None, [2.0]])


def test_an_array_of_python_2_is_read(tmp_path):
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x02\xff\x07tb."
    )
    (tmp_path / "a.pkl").write_bytes(content)
    assert read_array_pickle(tmp_path / "a.pkl").tolist() == [255, 7]


# pain 19
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Call(exec, "raise SystemExit"), "builtins.exec"),
        (Call(np.load, "a.npy"), "numpy.load"),
        (Call(torch.load, "a.pt"), "torch.serialization.load"),
        (np.array([{}], dtype=object), "a NumPy array of type O8"),
        (np.zeros(1, [("a", "f4")]), "a NumPy array of type V4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_objects_are_refused(tmp_path, value, name):
    path = written(tmp_path, {"model": value})
    with pytest.raises(UserError, match="save the tensors alone where it was made") as error:
        read_array_pickle(path)
    assert name in str(error.value)


def test_damaged_files_are_reported(tmp_path):
    path = written(tmp_path, {"model": np.zeros(9)})
    whole = path.read_bytes()
    for content in (whole[:-30], whole.replace(b"K\x09\x85", b"K\x08\x85"), b"\x80\x04K\x01b."):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is damaged or cut short"):
            read_array_pickle(path)


def test_a_file_of_torch_is_left_to_torch(tmp_path):
    assert is_array_pickle(written(tmp_path, {}))
    for is_zip in (True, False):
        torch.save({}, tmp_path / "a.pkl", _use_new_zipfile_serialization=is_zip)
        assert not is_array_pickle(tmp_path / "a.pkl")
