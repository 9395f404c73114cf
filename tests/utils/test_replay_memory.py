"""The ring of transitions, against a list."""

import pytest
import torch

from ilpyt.runners import Batch
from ilpyt.utils.replay_memory import ReplayMemory


def rollout(start, steps, num_envs=2, done=(), terminated=()):
    """States count env steps from `start` on, and add 1000 for every environment; rewards are the same number."""
    counts = torch.arange(start, start + steps)[:, None] + 1000 * torch.arange(num_envs)
    flags = torch.zeros(2, steps, num_envs, dtype=torch.bool)
    for t, i in terminated:
        flags[:, t - start, i] = True
    for t, i in done:
        flags[0, t - start, i] = True
    states = counts[..., None].float()
    return Batch(states, counts % 3, counts.float(), flags[0], flags[1], states + 0.5)


def everything(memory, n_step=1, gamma=0.5, draws=4000):
    """All transitions that can be drawn, by the number of their state."""
    sample = memory.sample(draws, gamma, n_step)
    rows = zip(sample.states[:, 0].tolist(), *(field.tolist() for field in sample[1:]), strict=True)
    return {int(row[0]): row[1:] for row in rows}


def test_the_oldest_are_overwritten_first():
    memory = ReplayMemory(10)
    held = []
    for start, steps in ((0, 2), (2, 2), (4, 3), (7, 1), (8, 4), (12, 7)):
        memory.add(rollout(start, steps))
        held = (held + list(range(start, start + steps)))[-5:]
        assert sorted(everything(memory)) == sorted([*held, *(t + 1000 for t in held)])
        assert len(memory) == 2 * len(held)


def test_transitions_stay_together():
    memory = ReplayMemory(12)
    for start in range(0, 30, 3):
        memory.add(rollout(start, 3, terminated=[(start + 1, 1)]))
    for state, (action, reward, next_state, discount) in everything(memory).items():
        assert (action, reward, next_state) == (state % 3, state, [state + 0.5])
        assert discount == (0.0 if state >= 1000 and state % 3 == 2 else 0.5)  # 1000 + 3k + 1


def test_transitions_are_drawn_uniformly():
    memory = ReplayMemory(8)
    memory.add(rollout(0, 7))
    counts = torch.unique(memory.sample(80_000, 0.9).states, return_counts=True)[1]
    assert len(counts) == 8
    assert ((counts - 10_000).abs() < 500).all()  # 5 standard deviations


@pytest.mark.parametrize("n_step", [1, 2, 3, 6])
def test_n_step_transitions_equal_a_step_by_step_reference(n_step):
    gamma, generator = 0.9, torch.Generator().manual_seed(0)
    memory, done = ReplayMemory(2 * 24), torch.rand(60, 2, generator=generator) < 0.25
    terminated = done & (torch.rand(60, 2, generator=generator) < 0.5)

    def where(flags, start):
        return [(t, i) for t in range(start, start + 6) for i in range(2) if flags[t, i]]

    for start in range(0, 60, 6):
        memory.add(rollout(start, 6, done=where(done, start), terminated=where(terminated, start)))
    drawn = everything(memory, n_step, gamma)
    assert sorted(drawn) == [t + 1000 * i for i in range(2) for t in range(36, 60 - n_step + 1)]
    for state, (_, reward, next_state, discount) in drawn.items():
        i, t = divmod(state, 1000)
        expected, factor = 0.0, 1.0
        for _ in range(n_step):
            expected, factor = expected + factor * (t + 1000 * i), factor * gamma
            if done[t, i]:
                break
            t += 1
        else:
            t -= 1
        assert reward == pytest.approx(expected, rel=1e-6)
        assert next_state == [t + 1000 * i + 0.5]
        assert discount == pytest.approx(0.0 if terminated[t, i] else factor, rel=1e-6)


def test_images_stay_uint8():
    images = torch.randint(256, (3, 2, 4, 4, 1), dtype=torch.uint8)
    batch = rollout(0, 3).replace(states=images, next_states=images)
    memory = ReplayMemory(100)
    memory.add(batch)
    assert memory.sample(5, 0.9).states.dtype == torch.uint8
    assert memory.sample(5, 0.9).next_states.dtype == torch.uint8


def test_its_state_is_what_it_holds_in_order():
    memory, other = ReplayMemory(10), ReplayMemory(10)
    for start in (0, 4, 8):
        memory.add(rollout(start, 4))
    assert memory.state_dict()["rewards"][:, 0].tolist() == [7, 8, 9, 10, 11]
    other.load_state_dict(memory.state_dict())
    for m in (memory, other):
        m.add(rollout(12, 1))
    assert everything(memory) == everything(other)
    memory.load_state_dict(ReplayMemory(10).state_dict())
    assert len(memory) == 0


def test_what_it_cannot_hold_or_give_is_an_error():
    with pytest.raises(ValueError, match="capacity of at least 1, got 0"):
        ReplayMemory(0)
    with pytest.raises(ValueError, match="3 transitions can't hold a step of 4 environments"):
        ReplayMemory(3).add(rollout(0, 1, num_envs=4))
    memory = ReplayMemory(10)
    memory.add(rollout(0, 2))
    with pytest.raises(ValueError, match="transitions of 2 environments, got 3"):
        memory.add(rollout(0, 1, num_envs=3))
    with pytest.raises(ValueError, match="3-step transitions: the memory holds 2 steps"):
        memory.sample(1, 0.9, 3)
