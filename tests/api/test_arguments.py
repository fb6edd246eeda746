"""Arguments of the public API are checked before anything uses them."""

import pickle

import pytest

import detkit
from detkit.errors import Stopped, UserError


@pytest.fixture(scope="module")
def config() -> detkit.Config:
    return detkit.compose(["model=fcos"])


@pytest.mark.parametrize("names", ["cat", [], [1], 3])
def test_class_names_are_a_list_of_strings(config, names):
    with pytest.raises(UserError, match="class_names: expected a list of names"):
        detkit.build(config, class_names=names)


def test_a_class_name_occurs_once(config):
    with pytest.raises(UserError, match="class_names: 'cat' occurs more than once"):
        detkit.build(config, class_names=["cat", "dog", "cat"])


@pytest.mark.parametrize("value", [["model=fcos"], {"model": "fcos"}, None, "fcos"])
def test_build_and_data_take_a_whole_configuration(value):
    with pytest.raises(UserError, match=r"pass the result of detkit\.compose"):
        detkit.build(value)
    with pytest.raises(UserError, match=r"pass the result of detkit\.compose"):
        detkit.data(value)


def test_a_stop_survives_pickling():
    duplicate = pickle.loads(pickle.dumps(Stopped("stopped: a training", 2)))
    assert (str(duplicate), duplicate.exit_code) == ("stopped: a training", 130)
