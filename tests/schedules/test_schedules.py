import math

import pytest
from contract_cases import each_promise

from detkit import registry
from detkit.schedules.constant import Constant
from detkit.schedules.cosine import Cosine
from detkit.schedules.cosine_restarts import CosineRestarts
from detkit.schedules.exponential import Exponential
from detkit.schedules.inverse_sqrt import InverseSquareRoot
from detkit.schedules.inverse_time import InverseTime
from detkit.schedules.multi_step import MultiStep
from detkit.schedules.one_cycle import OneCycle
from detkit.schedules.plateau import Plateau
from detkit.schedules.polynomial import Polynomial
from detkit.schedules.step import Step
from detkit.schedules.warmup import warmup_length


@each_promise("scheduler")
def test_a_scheduler_keeps_its_contract(case):
    case()


def test_cosine_by_hand():
    schedule = Cosine(warmup_steps=2, warmup_factor=0.5, final_factor=0.2)
    # 22 steps: 2 of warm-up, then a wave over 20; a quarter of it is step 7, its middle step 12.
    quarter = 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2
    expected = {0: 0.5, 1: 0.75, 2: 1.0, 7: quarter, 12: 0.6}
    assert {step: schedule(step, 22) for step in expected} == pytest.approx(expected)


def test_cosine_falls_to_its_end_and_moves_at_the_last_step():
    factors = [Cosine(warmup_steps=0)(step, 50) for step in range(50)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1
    assert 0 < factors[-1] < 0.002


def test_multi_step_by_hand():
    schedule = MultiStep(warmup_steps=0)
    factors = [schedule(epoch * 7, 12 * 7) for epoch in range(12)]
    assert factors == pytest.approx([1.0] * 8 + [0.1] * 3 + [0.01])
    assert schedule(8 * 7 - 1, 12 * 7) == 1


def test_multi_step_rises_and_drops_at_once():
    schedule = MultiStep(milestones=(0.05,), gamma=0.5, warmup_steps=10, warmup_factor=0.0)
    assert [schedule(step, 100) for step in (4, 5, 10)] == pytest.approx([0.4, 0.25, 0.5])


def test_constant_by_hand():
    schedule = Constant(warmup_steps=4, warmup_factor=0.2)
    assert [schedule(s, 100) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


@pytest.mark.parametrize(("total", "length"), [(10_000, 500), (5_000, 500), (900, 90), (9, 0)])
def test_warm_up_takes_at_most_a_tenth(total, length):
    assert warmup_length(total, 500) == length


@pytest.mark.parametrize(
    "schedule", [registry.get("scheduler", name)() for name in registry.names("scheduler")]
)
@pytest.mark.parametrize("total", [1, 2, 10, 11, 5000])
def test_factors_stay_between_0_and_1_and_move_from_the_first_step(schedule, total):
    factors = [schedule(step, total) for step in range(total)]
    assert min(factors) > 0
    assert max(factors) <= 1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Exponential(final_factor=0.01, warmup_steps=0), {0: 1, 50: 0.1, 75: 0.1**1.5}),
        (InverseTime(decay=3, warmup_steps=0), {0: 1, 50: 0.4, 99: 1 / 3.97}),
        (InverseSquareRoot(timescale=20, warmup_steps=0), {0: 1, 60: 0.5, 80: math.sqrt(0.2)}),
        (Polynomial(power=2, final_factor=0.2, warmup_steps=0), {0: 1, 50: 0.4, 75: 0.25}),
        (Step(drops=3, gamma=0.5, warmup_steps=0), {24: 1, 25: 0.5, 74: 0.25, 75: 0.125}),
        (CosineRestarts(cycles=2, growth=3, warmup_steps=0), {0: 1, 12.5: 0.5, 25: 1, 62.5: 0.5}),
        (
            OneCycle(rise=0.2, initial_factor=0.5, final_factor=0),
            {0: 0.5, 10: 0.75, 20: 1, 60: 0.5},
        ),
    ],
)
def test_schedules_by_hand_over_100_steps(schedule, expected):
    assert {step: schedule(step, 100) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("kind", [Exponential, InverseTime, Polynomial, CosineRestarts, Step])
def test_the_warm_up_of_a_falling_schedule_reaches_the_full_rate(kind):
    schedule = kind(warmup_steps=10, warmup_factor=0.0)
    assert schedule(0, 1000) == 0
    assert schedule(10, 1000) == 1


def test_plateau_counts_validations_and_stops_at_its_smallest_factor():
    schedule = Plateau(gamma=0.1, patience=2, smallest_factor=0.05, minimum_improvement=0.01)
    factors = []
    for value in (0.5, 0.505, math.nan, 0.4, 0.6, 0.3, 0.2, 0.1, 0.1):
        schedule.after_validation({"AP": value})
        factors.append(schedule(50, 100))
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])
