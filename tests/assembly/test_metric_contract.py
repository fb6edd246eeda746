import pytest

from detkit import assembly
from detkit.assembly import Classes
from detkit.errors import ConfigError


class WithoutMeanings:
    """Such as a plugin may register."""

    def update(self, *_):
        pass

    state = merge = compute = reset = update


def test_a_metric_that_lacks_something_is_refused_before_training(monkeypatch):
    monkeypatch.setattr(assembly, "build", lambda *_: WithoutMeanings())
    with pytest.raises(ConfigError, match="'mine' lacks meanings, which every metric has"):
        assembly.build_metric({"metric": {"name": "mine"}}, Classes(["a"], [1]))


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_our_metrics_keep_the_contract(name):
    defaults = {"coco": {"max_detections": 100, "backend": "faster"}}
    node = {"iou_threshold": 0.5, "average": "area", "frequency_limits": None, "name": name}
    node |= defaults.get(name, {})
    metric = assembly.build_metric({"metric": node}, Classes(["a"], [1]))
    assert set(metric.meanings) == {n for n in metric.compute() if "/" not in n}
