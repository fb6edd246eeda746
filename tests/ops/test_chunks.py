import pytest

from detkit.ops import chunks


@pytest.mark.parametrize(
    ("objects", "priors", "expected"),
    [
        (5, 4, [(0, 2), (2, 4), (4, 5)]),
        (3, 100, [(0, 1), (1, 2), (2, 3)]),  # one object at a time is the least
        (2, 0, [(0, 2)]),
        (0, 4, []),
    ],
)
def test_chunks_cover_all_objects(monkeypatch, objects, priors, expected):
    monkeypatch.setattr(chunks, "MOST_PAIRS", 8)
    found = [(part.start, part.stop) for part in chunks.row_chunks(objects, priors)]
    assert found == expected
