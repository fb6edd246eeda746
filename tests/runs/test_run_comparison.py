from detkit.config.difference import Difference
from detkit.runs.run_comparison import RunRecord, compare

CONFIG = {"model": {"neck": {"name": "fpn", "out_channels": 64}}, "seed": 0, "run_folder": "a"}
ENVIRONMENT = {"started": "then", "command": "x", "versions": {"torch": "2.9"}, "seed": 0}


def test_a_run_equals_itself_elsewhere_and_later():
    again = RunRecord({**CONFIG, "run_folder": "b"}, {**ENVIRONMENT, "started": "now"})
    found = compare(RunRecord(CONFIG, ENVIRONMENT), again)
    assert not found
    assert [each.path for each in found.apart] == ["run_folder", "started"]


def test_irrelevant_differences_are_ignored():
    other = RunRecord({**CONFIG, "seed": 1}, {**ENVIRONMENT, "versions": {"torch": "3"}, "seed": 1})
    found = compare(RunRecord(CONFIG, ENVIRONMENT), other)
    assert found
    assert found.configuration == [Difference("seed", 0, 1)]
    assert found.environment == [Difference("versions.torch", "2.9", "3")]


def test_surroundings_are_compared_as_far_as_both_are_known():
    assert not compare(RunRecord(CONFIG, ENVIRONMENT), RunRecord(CONFIG, {}))
