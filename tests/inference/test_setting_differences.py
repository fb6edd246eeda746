"""Differences of settings in words."""

from detkit.inference.setting_differences import setting_differences


def test_many_differences_are_counted():
    texts = setting_differences({}, {"model": {str(number): number for number in range(20)}})
    assert texts[0] == "model.0: none -> 0"
    assert texts[-1] == "and 12 more"
    assert len(texts) == 9
