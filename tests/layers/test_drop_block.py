import torch

from detkit.layers.drop_block import drop_block

HALF = torch.tensor(0.5)


def test_keeps_the_mean_and_about_the_share():
    torch.manual_seed(0)
    ones = torch.ones(8, 16, 20, 24)
    found = drop_block(ones, torch.tensor(0.9), 5)
    assert abs(found.mean() - 1) < 1e-5
    assert abs((found > 0).float().mean() - 0.9) < 0.02


def test_what_goes_are_squares():
    torch.manual_seed(1)
    found = drop_block(torch.ones(1, 1, 9, 9), torch.tensor(0.93), 3)[0, 0] == 0
    assert found.any()
    squares = torch.nn.functional.unfold(found[None, None].float(), 3).sum(1) == 9
    covered = torch.nn.functional.fold(squares[:, None].float().expand(1, 9, -1), (9, 9), 3)[0, 0]
    assert torch.equal(covered > 0, found)


def test_keeping_all_changes_nothing():
    features = torch.randn(2, 3, 4, 5)
    assert torch.equal(drop_block(features, torch.tensor(1.0), 3), features)


def test_a_small_map_is_dropped_whole():
    torch.manual_seed(0)
    found = drop_block(torch.ones(64, 4, 2, 2), HALF, 7)
    whole = found.flatten(2).sum(2)
    assert set((found > 0).flatten(2).sum(2).flatten().tolist()) == {0, 4}
    assert whole.mean() == 4


def test_all_of_a_map_may_go():
    found = drop_block(torch.ones(1, 1, 2, 2), torch.tensor(0.0), 7)
    assert torch.equal(found, torch.zeros(1, 1, 2, 2))


def test_is_drawn_from_the_global_generator():
    torch.manual_seed(3)
    first = drop_block(torch.ones(2, 3, 8, 8), HALF, 2)
    torch.manual_seed(3)
    assert torch.equal(drop_block(torch.ones(2, 3, 8, 8), HALF, 2), first)


def test_bfloat16_stays():
    found = drop_block(torch.ones(2, 3, 8, 8, dtype=torch.bfloat16), HALF, 2)
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()
