"""Schedules."""

import pytest

from ilpyt.utils.schedules import Linear, Piecewise, as_schedule


def test_a_linear_schedule_goes_from_start_to_end_and_stays():
    schedule = Linear(1.0, 0.2, 100)
    assert [schedule(step) for step in (0, 25, 50, 100, 1000)] == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])


def test_a_piecewise_schedule_goes_through_its_points_and_stays_before_and_after():
    schedule = Piecewise(((100, 1.0), (200, 0.5), (600, 0.1)))
    assert [schedule(step) for step in (0, 100, 150, 200, 400, 600, 1000)] == pytest.approx(
        [1, 1, 0.75, 0.5, 0.3, 0.1, 0.1]
    )
    for points in ((), ((100, 1.0), (100, 0.5)), ((200, 1.0), (100, 0.5))):
        with pytest.raises(ValueError, match="ascending"):
            Piecewise(points)


def test_a_number_is_a_schedule_that_never_changes_and_a_schedule_stays_itself():
    assert [as_schedule(0.3)(step) for step in (0, 10**9)] == [0.3, 0.3]
    schedule = Linear(1, 0, 10)
    assert as_schedule(schedule) is schedule


def test_a_schedule_over_no_steps_is_an_error():
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        Linear(1, 0, 0)
