"""Record 100 successful episodes of a scripted expert in each of the paper's environments.

    python examples/example_generate_expert_demos.py              # all five
    python examples/example_generate_expert_demos.py --env CartPole-v0

Each environment gets `demos/<env_id>/demos.pkl`, and a card beside it (`README.md`) that says what is in the file. An
episode is successful if its return reaches the paper's threshold for the environment.
"""

import argparse
from pathlib import Path

import numpy as np

import ilpyt
from ilpyt.presets import PAPER_ENVS
from ilpyt.runners import Experiences, Runner


def record(env_id: str, num_episodes: int, seed: int) -> tuple[Experiences, int]:
    """The first `num_episodes` successful episodes, and how many were played for them."""
    known = PAPER_ENVS[env_id]
    demos, successes, played = Experiences(), 0, 0
    with ilpyt.envs.build_env(env_id, num_env=1, seed=seed) as env:
        expert = known.expert()
        expert.set_test()
        runner = Runner(env, expert)
        while successes < num_episodes:
            episode = runner.generate_episodes(1, seed=seed + played)
            played += 1
            if episode.get_episode_rewards()[0] >= known.threshold:
                demos.add(episode.states, episode.actions, episode.rewards, episode.dones, episode.truncated)
                successes += 1
        demos.metadata = {**env.description, "expert": known.expert.__name__, "seeds": [seed, seed + played - 1]}
    return demos, played


def write_card(folder: Path, env_id: str, demos: Experiences, played: int, seed: int) -> None:
    """`README.md`: what is in the file, and how to make it again."""
    returns, meta = demos.get_episode_rewards(), demos.metadata
    expert_mean, expert_std = PAPER_ENVS[env_id].paper["Expert"]
    (folder / "README.md").write_text(f"""# Demonstrations: {env_id}

| | |
| --- | --- |
| environment | {meta["env_id"]} of {meta["backend"]} {meta.get("backend_version", "")} |
| expert | `ilpyt.agents.heuristic_agent.{meta["expert"]}` |
| episodes | {len(returns)} successful ones (return at least {PAPER_ENVS[env_id].threshold}) of {played} played |
| transitions | {len(demos)} |
| return | {np.mean(returns):.2f} +/- {np.std(returns):.2f}, {min(returns):.2f} to {max(returns):.2f} |
| the paper's expert | {expert_mean:.2f} +/- {expert_std:.2f} |
| seeds | {seed} to {seed + played - 1}, one an episode |
| fields | states {list(demos.states.shape)}, actions {list(demos.actions.shape)}, rewards, dones, truncated |

Made by `python examples/example_generate_expert_demos.py --env {env_id} --num-episodes {len(returns)} --seed {seed}`;
read it by `ilpyt.runners.Experiences.load("demos/{env_id}/demos.pkl")`.
""")


def main() -> None:
    """Record what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=PAPER_ENVS, help="one environment only")
    parser.add_argument("--num-episodes", type=int, default=100, help="successful episodes to record")
    parser.add_argument("--seed", type=int, default=0, help="environment seed of the first episode")
    parser.add_argument("--save-path", type=Path, default=Path("demos"), help="folder to write to")
    args = parser.parse_args()
    for env_id in [args.env] if args.env else PAPER_ENVS:
        demos, played = record(env_id, args.num_episodes, args.seed)
        folder = args.save_path / env_id
        folder.mkdir(parents=True, exist_ok=True)
        demos.save(folder / "demos.pkl")
        write_card(folder, env_id, demos, played, args.seed)
        returns = demos.get_episode_rewards()
        print(
            f"{env_id}: {len(returns)} successful episodes of {played}, return {np.mean(returns):.2f} +/- "
            f"{np.std(returns):.2f} -> {folder / 'demos.pkl'}"
        )


if __name__ == "__main__":
    main()
