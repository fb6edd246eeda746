"""A search fails if a trial failed, even one that could not be composed."""

from pathlib import Path

import pytest

from detkit.sweeps.search.run_search import failure
from detkit.sweeps.search.trial import Trial

DONE = Trial(0, ("seed=1",), Path("a"), state="done")
BROKEN = Trial(1, ("seed=2",), state="failed", note="neck 'fpn' needs 3 levels")
CRASHED = Trial(2, ("seed=3",), Path("b"), state="failed", note="out of memory")


@pytest.mark.parametrize(
    ("trials", "skip_bad", "text"),
    [
        ([DONE], False, None),
        ([DONE, BROKEN], False, "1 trial failed; the first: neck 'fpn' needs 3 levels"),
        ([DONE, BROKEN], True, None),
        ([BROKEN, BROKEN], True, "2 trials failed; the first: neck 'fpn' needs 3 levels"),
        ([DONE, BROKEN, CRASHED], True, "1 trial failed; the first: out of memory"),
    ],
)
def test_a_search_fails_with_the_reason_of_its_first_failed_trial(trials, skip_bad, text):
    assert failure(trials, skip_bad) == text
