"""How speed is measured and kept: ratios, lower bounds, growth, and what isn't measured again."""

import dataclasses
import json

import numpy as np
import pytest


def test_sides_take_turns_and_the_first_turn_of_each_doesnt_count():
    from claims.measure import in_turns

    calls = []

    def side(name):
        return lambda: calls.append(name) or float(len(calls))

    assert in_turns([side("a"), side("b")], turns=2) == [[3.0, 5.0], [4.0, 6.0]]
    assert calls == ["a", "b"] * 3


def test_a_claim_is_the_ratio_of_the_medians_with_the_quartiles_of_neighbours_ratios():
    from claims.measure import as_row

    row = as_row("a / b", "2x", "steps/s", [10.0, 20.0, 30.0, 40.0, 50.0], [10.0, 10.0, 10.0, 40.0, 25.0])
    assert row.data["ratio"] == 30 / 10
    assert row.ratio == "3.00x (1.00 to 2.00)"  # of 1, 2, 3, 1, 2
    assert str(row) == "| a / b | 30 | 10 steps/s | 3.00x (1.00 to 2.00) | 2x |"


def test_a_race_says_where_a_time_is_a_lower_bound():
    from claims.measure import race

    def run(seconds, reached=True):
        return {"seconds": seconds, "steps": 1000, "reached": reached}

    own, peer = [run(1.0), run(2.0), run(9.0)], [run(8.0), run(5.0), run(60.0, reached=False)]
    row = race("x", "0.5x", own, peer)
    assert row.ratio == "0.25x"  # 2 s / 8 s
    assert row.peer == "8 s (1,000), 5 s (1,000), 60 s (1,000, not reached)"
    assert race("x", "0.5x", own, [run(8.0, reached=False)] * 3).ratio == "at most 0.25x"
    assert race("x", "0.5x", [run(1.0, reached=False)] * 3, peer).ratio == "not reached"


def test_growth_is_the_largest_cost_over_that_of_any_smaller_size():
    from claims.growth import as_row

    row = as_row("x", (1, 10, 100), [lambda: 4.0, lambda: 2.0, lambda: 3.0])
    assert row.ratio == "1.50x"
    assert row.data["us"] == [4.0, 2.0, 3.0]


def test_the_steps_in_which_gymnasium_resets_bring_no_transition():
    from claims.envs import NUM_ENVS, step_rate

    class EndsAtOnce:
        """Every other step ends all episodes, so that the step after it only resets."""

        steps = 0

        def step(self, actions):
            self.steps += 1
            ended = np.full(NUM_ENVS, self.steps % 2 == 1)
            return None, None, ended, np.zeros(NUM_ENVS, bool), {}

    env = EndsAtOnce()
    counted = []

    def clock():
        counted.append(env.steps)
        return float(len(counted) > 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("claims.envs.time.perf_counter", clock)
        assert step_rate(env, 2, 1.0) == 20 * NUM_ENVS - 10 * NUM_ENVS


def test_claims_that_arent_measured_this_time_stay_as_they_were(tmp_path, monkeypatch):
    import speed
    from claims.measure import Row

    monkeypatch.setattr(speed, "RESULTS", tmp_path)

    def row(claim):
        return Row(claim, "1", "2", "0.5x", "1x", {"own": [1.0]})

    speed.keep("gail", row("gail here"))
    speed.keep("gail", row("gail there"))
    speed.keep("vecenv", row("envs"))
    speed.keep("gail", dataclasses.replace(row("gail here"), own="7"))
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert [r["claim"] for r in kept] == ["envs", "gail here", "gail there"]  # in the order of the subcommands
    assert [r["own"] for r in kept] == ["1", "7", "1"]
    assert kept[0]["versions"]["torch"]
    table = (tmp_path / "speed.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table] == ["| claim", "| ---", "| envs", "| gail here", "| gail there"]
