import pytest

from detkit.structures import FeatureSpec


@pytest.fixture
def feature_specs():
    return [FeatureSpec(4, stride) for stride in (8, 16, 32, 64, 128)]
