"""Marginal effects, against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detkit.sweeps.results.effects import Effect, effects


def jobs(*rows: tuple[str, str, int, float]) -> list[tuple[dict[str, str], float]]:
    """Neck, optimizer, seed and number of each job."""
    return [({"neck": n, "optimizer": o, "seed": str(s)}, number) for n, o, s, number in rows]


COMPLETE = jobs(
    ("fpn", "sgd", 1, 0.30),
    ("fpn", "sgd", 2, 0.34),  # 0.32, squares 0.0008
    ("fpn", "adamw", 1, 0.40),  # one seed only
    ("pan", "sgd", 1, 0.40),
    ("pan", "sgd", 2, 0.42),
    ("pan", "sgd", 3, 0.44),  # 0.42, squares 0.0008
    ("pan", "adamw", 1, 0.60),
    ("pan", "adamw", 2, 0.60),  # 0.60, squares 0
)


def level_of(found: list[Effect], key: str, value: str):
    (effect,) = (each for each in found if each.key == key)
    (level,) = (each for each in effect.levels if each.value == value)
    return level


def test_complete_grid_gives_differences_of_means_whatever_the_number_of_seeds() -> None:
    found = effects(COMPLETE)
    assert (found.jobs, found.cells, found.complete) == (8, 4, True)
    fpn, pan = (level_of(found.keys, "neck", value) for value in ("fpn", "pan"))
    assert (fpn.jobs, pan.jobs) == (3, 5)
    assert fpn.mean == pytest.approx((0.32 + 0.40) / 2)
    assert pan.mean == pytest.approx((0.42 + 0.60) / 2)
    assert fpn.effect == pytest.approx(0.36 - 0.435)
    assert pan.effect == pytest.approx(0.51 - 0.435)
    adamw = level_of(found.keys, "optimizer", "adamw")
    assert adamw.effect == pytest.approx(0.50 - 0.435)


def test_spread_is_pooled_within_cells_and_carried_to_the_effects() -> None:
    found = effects(COMPLETE)
    assert found.spread == pytest.approx(math.sqrt(0.0016 / 4))  # 8 jobs less 4 cells
    fpn, pan = (level_of(found.keys, "neck", value) for value in ("fpn", "pan"))
    assert fpn.spread == pytest.approx(math.sqrt(0.0008 / 1))
    assert pan.spread == pytest.approx(math.sqrt(0.0008 / 3))
    # The effect of two values is a quarter of the sum of the four cells' means, with signs.
    error = found.spread / 4 * math.sqrt(1 / 2 + 1 / 1 + 1 / 3 + 1 / 2)
    assert fpn.error == pytest.approx(error)
    assert pan.error == pytest.approx(error)


def test_missing_cell_does_not_favour_a_value() -> None:
    # pan was not tried with sgd, which costs 0.2; it is better by 0.1 nevertheless, not by 0.2.
    rows = jobs(("fpn", "sgd", 1, 0.2), ("fpn", "adamw", 1, 0.4), ("pan", "adamw", 1, 0.5))
    found = effects(rows)
    assert not found.complete
    fpn, pan = (level_of(found.keys, "neck", value) for value in ("fpn", "pan"))
    assert (pan.effect, fpn.effect) == (pytest.approx(0.05), pytest.approx(-0.05))
    assert pan.mean - fpn.mean == pytest.approx(0.2)
    assert level_of(found.keys, "optimizer", "sgd").effect == pytest.approx(-0.1)


def test_effects_of_a_complete_grid_equal_a_least_squares_fit() -> None:
    generator = np.random.default_rng(0)
    rows = [
        ({"neck": neck, "batch": batch}, float(generator.normal()))
        for neck in ("fpn", "pan", "bifpn")
        for batch in ("4", "8")
    ]
    # Coded so that the effects of a key sum to 0; the last value has -1 in all columns.
    necks = np.repeat([[1, 0], [0, 1], [-1, -1]], 2, axis=0)
    design = np.column_stack([np.ones(6), necks, np.tile([1, -1], 3)])
    fit, *_ = np.linalg.lstsq(design, np.array([number for _, number in rows]), rcond=None)
    found = effects(rows)
    by_value = [level_of(found.keys, "neck", value).effect for value in ("fpn", "pan", "bifpn")]
    assert by_value == pytest.approx([fit[1], fit[2], -fit[1] - fit[2]])
    assert level_of(found.keys, "batch", "4").effect == pytest.approx(fit[3])


def test_only_sets_of_jobs_with_every_value_count() -> None:
    rows = jobs(
        ("fpn", "sgd", 1, 0.2),
        ("pan", "sgd", 1, 0.3),
        ("bifpn", "sgd", 1, 0.7),
        ("fpn", "adamw", 1, 0.9),  # bifpn is missing here, so neither of these two counts
        ("pan", "adamw", 1, 0.1),
    )
    found = effects(rows)
    necks = [level_of(found.keys, "neck", value).effect for value in ("fpn", "pan", "bifpn")]
    assert necks == pytest.approx([-0.2, -0.1, 0.3])


def test_keys_that_change_together_have_no_effect_of_their_own() -> None:
    rows = [
        ({"neck": neck, "optimizer": optimizer, "batch": batch}, number)
        for neck, optimizer, batch, number in (
            ("fpn", "sgd", "4", 0.1),
            ("pan", "adamw", "4", 0.3),
            ("fpn", "sgd", "8", 0.2),
            ("pan", "adamw", "8", 0.4),
        )
    ]
    found = effects(rows)
    assert level_of(found.keys, "neck", "pan").effect is None
    assert level_of(found.keys, "optimizer", "sgd").effect is None
    assert level_of(found.keys, "batch", "8").effect == pytest.approx(0.05)


def test_spread_of_one_seed_is_unknown_and_that_of_equal_results_is_zero() -> None:
    single = effects(jobs(("fpn", "sgd", 1, 0.2), ("pan", "sgd", 1, 0.3)))
    level = level_of(single.keys, "neck", "fpn")
    assert (single.spread, level.spread, level.error) == (None, None, None)
    equal = effects(jobs(("fpn", "sgd", 1, 0.2), ("fpn", "sgd", 2, 0.2), ("pan", "sgd", 1, 0.3)))
    level = level_of(equal.keys, "neck", "fpn")
    assert (equal.spread, level.spread, level.error) == (0.0, 0.0, 0.0)


def test_only_the_seed_varies() -> None:
    found = effects(jobs(("fpn", "sgd", 1, 0.2), ("fpn", "sgd", 2, 0.4)))
    assert found.keys == []
    assert found.spread == pytest.approx(math.sqrt(0.02))


def test_many_numbers_are_ranked_over_cells() -> None:
    rates = ["0.001", "0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "1e-1"]
    numbers = [0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.05]
    rows = [
        ({"rate": rate, "neck": ("fpn", "pan")[i % 2]}, number)
        for i, (rate, number) in enumerate(zip(rates, numbers, strict=True))
    ]
    (trend,) = effects(rows[::-1]).trends
    assert (trend.key, trend.cells) == ("rate", 8)
    # Ranks 2, 3.5, 5.5, 7.5, 7.5, 5.5, 3.5, 1: with 1 to 8 their products sum up to 158.5, their
    # squares to 202.5, those of 1 to 8 to 204; the square of the mean, eight times, is 162.
    expected = (158.5 - 162) / math.sqrt((204 - 162) * (202.5 - 162))
    assert trend.correlation == pytest.approx(expected)
    assert [(t.lowest, t.highest, t.cells) for t in trend.thirds] == [
        ("0.001", "0.004", 3),
        ("0.008", "0.032", 3),
        ("0.064", "1e-1", 2),
    ]
    assert trend.thirds[1].mean == pytest.approx(1.1 / 3)


def test_no_job_and_one_job() -> None:
    assert effects([]).jobs == 0
    assert effects(jobs(("fpn", "sgd", 1, 0.2))).spread is None
