"""The command line: its flags, what they do, and what it says to those who mistype."""

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.algos import ALGORITHMS
from ilpyt.cli import COMMANDS, main
from ilpyt.cli.train_options import constructing, names_of, options_for, training
from ilpyt.envs.build import build_env
from ilpyt.presets import SETTINGS, make_algorithm
from ilpyt.runners import evaluate
from ilpyt.utils.checkpoint import load_state
from tests.conftest import ROOT

DEMOS = ROOT / "demos/CartPole-v0/demos.pkl"
SHORT = ["--num-epochs", "2", "--no-progress", "--test-episodes", "0"]


def run(*arguments):
    """Run in this process; the exit status, or the message it ends with."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_help_lists_every_command_and_imports_no_torch():
    program = "import sys; from ilpyt.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    help_, modules = out[: out.rindex("[")], out[out.rindex("[") :]
    assert all(f"• {command} " in help_ for command in COMMANDS)
    assert not {"torch", "numpy", "gymnasium", "matplotlib", "pygame", "minari"} & set(re.findall(r"'(\w+)'", modules))


OBJECTS = {
    "sinks", "env", "agent", "actor", "critic", "net", "target_net", "gen", "disc", "cost", "learner", "self",
    "monitor_kwargs", "agent_kwargs", "args", "kwargs", "algo",
}  # fmt: skip


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_keyword_is_a_flag_with_its_default_and_its_description(algo, capsys):
    fields = {field.name: field for field in dataclasses.fields(options_for(algo))}
    for name in names_of(*training(algo), *constructing(algo)):
        assert name in fields or name in OBJECTS, name
    agent = fields["agent"].type
    kind = ALGORITHMS[algo]
    with build_env("CartPole-v0", num_env=1) as env:
        made = kind.make_agent(env)
    inside = {field.name for field in dataclasses.fields(agent)}
    assert set(names_of(type(made).initialize)) - OBJECTS <= inside
    assert {"lr"} <= inside
    assert run("train", algo, "CartPole-v0", "--help") == 0
    out = re.sub(r"\s*│\s*|\s+", " ", capsys.readouterr().out)
    for name, value in SETTINGS[algo]["CartPole-v0"].train.items():
        if not isinstance(value, dict):
            shown = re.search(rf" --{name.replace('_', '-')} .*?\(default: ([^)]*)\)", out)
            assert shown[1] == str(value), name
    assert "--env.num-env INT number of environments. (default: " in out


def test_flags_of_a_discriminator_show_what_it_takes_unless_told_otherwise(capsys):
    assert run("train", "GAIL", "CartPole-v0", "--help") == 0
    out = re.sub(r"\s*│\s*|\s+", " ", capsys.readouterr().out)
    assert re.search(r"--agent\.disc\.normalize, .*?\(default: (\w+)\)", out)[1] == "True"
    assert re.search(r"--net\.normalize, .*?\(default: (\w+)\)", out)[1] == "False"


def test_a_run_is_what_python_gives_with_the_same_seed():
    assert run("train", "BC", "CartPole-v0", "--seed", 3, *SHORT, "--save-path", "run") == 0
    algo = make_algorithm("BC", "CartPole-v0", seed=3, save_path="python", progress=False)
    algo.train(**{**SETTINGS["BC"]["CartPole-v0"].train, "num_epochs": 2}, expert_demos=DEMOS)
    weights = algo.agent.get_weights()["net"]
    assert all(torch.equal(weights[name], tensor) for name, tensor in load_state("run/net_2.pth").items())


def test_a_run_can_be_done_again_from_its_config_to_the_bit(capsys):
    assert run("train", "BC", "CartPole-v0", "--seed", 3, "--agent.lr", 2e-3, *SHORT) == 0
    assert "`ilpyt watch logs/BC_CartPole-v0`" in capsys.readouterr().out
    assert run("train", "--config", "logs/BC_CartPole-v0", "--save-path", "again", "--no-progress") == 0
    first, second = Path("logs/BC_CartPole-v0"), Path("again")
    weights, others = load_state(first / "net_2.pth"), load_state(second / "net_2.pth")
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    recipes = [json.loads((folder / "config.json").read_text())["recipe"] for folder in (first, second)]
    assert recipes[0] == recipes[1]
    assert recipes[0]["train"] | {"num_epochs": 2, "expert_demos": "bundled"} == recipes[0]["train"]
    assert (recipes[0]["seed"], recipes[0]["agent"]) == (3, {"lr": 2e-3})
    assert len(np.load("again/test_results.npy")) == 100
    flags = ["--num-epochs", 1, "--seed", 4, "--save-path", "c", *SHORT[2:]]
    assert run("train", "--config", "again/config.json", *flags) == 0
    recipe = json.loads(Path("c/config.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["train"]["num_epochs"], recipe["agent"]) == (4, 1, {"lr": 2e-3})


def test_flags_reach_what_they_are_keywords_of(capsys):
    flags = [
        "--num-steps", 64, "--rollout-steps", 8, "--eval-interval", "None", "--until", "None",
        "--agent.learner.lr", "Linear(1e-3, 0, 100)", "--agent.disc.no-normalize", "--agent.reward", "logit",
        "--net.hidden-sizes", 8, 9, "--env.num-env", 4, "--env.vecenv-type", "subproc", "--no-progress",
        "--test-episodes", 0, "--save-path", "run",
        "--env.wrappers", "gymnasium.wrappers:TimeLimit(max_episode_steps=7)",
        "--env.make-kwargs", '{"sutton_barto_reward": true}',
    ]  # fmt: skip
    assert run("train", "GAIL", "CartPole-v1", *flags, "--expert-demos", DEMOS) == 0
    config = json.loads(Path("run/config.json").read_text())
    assert config["agent"]["reward"] == "logit"
    assert config["agent"]["gen"]["lr"] == "Linear(start=0.001, end=0, steps=100)"
    assert "normalizer" not in config["nets"]["disc"]
    assert "out_features=9" in config["nets"]["gen_actor"]
    assert (config["env"]["num_env"], config["env"]["vecenv"]) == (4, "SubProcVecEnv")
    assert (config["train"]["num_steps"], config["train"]["until"]) == (64, None)
    recipe = config["recipe"]
    assert recipe["env"]["sutton_barto_reward"] is True
    rows = Path("run/progress.csv").read_text().splitlines()
    length = rows[0].split(",").index("episode/length")
    assert float(rows[-1].split(",")[length]) == 7  # the wrapper's limit
    with pytest.raises(ilpyt.utils.errors.DataError, match="would run code of its module"):
        ilpyt.zoo.load_run("run")  # a file's word isn't enough for somebody's wrapper
    assert "would run code of its module" in run("train", "--config", "run")
    assert run("test", "run", "--trust", "--episodes", 1) == 0
    assert "1 test episodes of CartPole-v1: 0.00 " in capsys.readouterr().out  # these rewards come at a fall only
    assert (
        run("train", "--config", "run", "--trust", "--save-path", "again", "--no-progress", "--test-episodes", 0) == 0
    )


def test_what_is_given_once_more_as_the_default_is_kept():
    flags = ["--num-steps", 8, "--rollout-steps", 2, "--net.output-gain", "None", "--test-episodes", 0, "--no-progress"]
    assert run("train", "PPO", "CartPole-v1", *flags, "--save-path", "run") == 0
    assert json.loads(Path("run/config.json").read_text())["recipe"]["net"] == {"output_gain": None}


def test_an_interrupted_training_goes_on(capsys):
    assert run("train", "BC", "CartPole-v0", *SHORT) == 0
    assert run("train", "BC", "CartPole-v0", *SHORT[2:], "--num-epochs", 3, "--resume") == 0
    assert (Path("logs/BC_CartPole-v0") / "net_3.pth").exists()
    assert not list(Path("logs/BC_CartPole-v0").glob("previous_*"))
    assert run("train", "--config", "logs/BC_CartPole-v0", *SHORT[2:], "--num-epochs", 4, "--resume") == 0
    assert (Path("logs/BC_CartPole-v0") / "net_4.pth").exists()
    assert run("train", "--config", "logs/BC_CartPole-v0", *SHORT, "--no-resume", "--save-path", "x") == 0
    assert (Path("logs/BC_CartPole-v0") / "net_4.pth").exists()


def test_weights_that_a_run_began_with_are_part_of_it():
    assert run("train", "BC", "CartPole-v0", *SHORT, "--save-path", "first") == 0
    assert run("train", "BC", "CartPole-v0", *SHORT, "--load-path", "first", "--save-path", "second") == 0
    assert run("train", "--config", "second", *SHORT, "--save-path", "third") == 0
    first, second, third = (load_state(f"{name}/net_2.pth") for name in ("first", "second", "third"))
    assert all(torch.equal(second[name], third[name]) for name in second)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_flags_may_have_underscores():
    flags = ["--num_steps", 8, "--rollout_steps", 2, "--agent.disc.no_normalize", "--test-episodes", 0, "--no_progress"]
    assert run("train", "GAIL", "CartPole-v0", *flags, "--save_path", "run") == 0
    assert json.loads(Path("run/config.json").read_text())["recipe"]["agent"]["disc"]["normalize"] is False


def test_the_current_folder_is_looked_in_for_modules_that_are_asked_for_only(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    folder = str(Path.cwd())
    run("demos", "info", "minari:a/b-v0")
    run("test", "nowhere")
    run("train", "PPO", "gymnasium:Nowhere-v0")
    assert folder not in sys.path
    run("train", "PPO", "my_module:Nowhere-v0")
    assert folder in sys.path


def test_dagger_asks_whom_the_command_line_names():
    flags = ["--num-episodes", 1, "--validation-episodes", 1, "--no-progress", "--test-episodes", 2]
    assert run("train", "DAgger", "CartPole-v0", *flags) == 0
    assert (
        json.loads(Path("logs/DAgger_CartPole-v0/config.json").read_text())["train"]["expert"]
        == "CartPoleHeuristicAgent"
    )
    assert run("train", "DAgger", "CartPole-v0", *flags, "--expert", "PPO/CartPole-v0", "--save-path", "zoo") == 0
    assert json.loads(Path("zoo/config.json").read_text())["train"]["expert"] == "PPOAgent"
    message = run("train", "DAgger", "CartPole-v1", *flags, "--expert", "scripted")
    assert message.startswith("ilpyt: CartPole-v1 has no scripted expert")


def test_testing_and_watching_give_the_returns_of_the_test_episodes(capsys):
    assert run("test", "BC/MountainCarContinuous-v0", "--episodes", 4) == 0
    card = ilpyt.zoo.card("BC", "MountainCarContinuous-v0")
    expected = f"4 test episodes of MountainCarContinuous-v0: {np.mean(card['returns'][:4]):.2f}"
    assert re.match(rf"{re.escape(expected)} \+/- .*, solved \(at 90\)", capsys.readouterr().out)
    pytest.importorskip("imageio_ffmpeg")
    assert run("watch", "BC/MountainCarContinuous-v0", "--episodes", 2, "--out", "car.mp4") == 0
    out = capsys.readouterr().out
    assert [float(x) for x in re.findall(r"return ([\d.]+)", out)] == pytest.approx(card["returns"][:2], abs=0.01)
    assert Path("car.mp4").stat().st_size > 1000


def test_an_environment_of_ones_own_module_is_found_in_the_current_folder(capsys):
    Path("my_envs.py").write_text(
        "import gymnasium\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('Mine-v0', entry_point=CartPoleEnv, max_episode_steps=20)\n"
    )
    command = [sys.executable, "-c", "from ilpyt.cli import main; main()", "train", "PPO", "my_envs:Mine-v0"]
    flags = ["--num-steps", "64", "--test-episodes", "2", "--no-progress"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 test episodes of my_envs:Mine-v0" in done.stdout
    assert "`ilpyt watch logs/PPO_my_envs_Mine-v0 --trust` shows the policy" in done.stdout
    # the file's word isn't enough to import a module; one's own is
    test = ["test", "logs/PPO_my_envs_Mine-v0", "--episodes", 2]
    assert "would import a module for 'my_envs:Mine-v0'; if you trust the file: trusted=True, or --trust" in run(*test)
    for trusting in (["--trust"], ["--env", "my_envs:Mine-v0"]):
        assert run(*test, *trusting) == 0
        assert "2 test episodes of my_envs:Mine-v0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["train", "gail", "CartPole-v0"], "no algorithm 'gail'. Did you mean GAIL?"),
        (["train", "PPO", "CartPol-v0", "--num-steps", "8"], "no environment 'CartPol-v0'. Did you mean CartPole-v0"),
        (["train", "--seed", "1", "PPO", "CartPole-v1"], "name the algorithm before the flags"),
        (
            ["train", "PPO", "--seed", "1", "CartPole-v0"],
            "name the environment before the flags: ilpyt train PPO CartP",
        ),
        (["train", "PPO", "CartPole-v1"], "train needs num_episodes or num_steps"),
        (["train", "BC", "CartPole-v1"], "train needs expert_demos"),
        (["train", "BC", "CartPole-v0", "--expert-demos", "nowhere.npz"], "no demonstrations at .*nowhere.npz"),
        (["train", "BC", "CartPole-v0", "--num-epochs", "0"], "num_epochs must be at least 1, got 0"),
        (["train", "BC", "CartPole-v0", "--env.wrappers", "Discretise"], "no wrapper 'Discretise'"),
        (["train", "--config", "nowhere"], "there is no .*nowhere"),
        (["train", "BC", "CartPole-v0", "--resume"], "nothing to resume"),
        (["train", "PPO", "broken:X-v0"], r"the module 'broken' failed: KeyError: 'pump' \(broken.py, line 2\)"),
        (["train", "PPO", "unclosed:X-v0"], r"'unclosed' failed: SyntaxError: .*unclosed.py, line 1"),
        (["test", "nowhere"], "no folder 'nowhere'; a policy is a run's folder, or one of the zoo"),
        (["watch", "GAIL/CartPole-v9"], "GAIL has no settings for 'CartPole-v9', but for CartPole-v0"),
        (["watch", "BC/CartPole-v0"], "no screen .*ilpyt watch BC/CartPole-v0 --out policy.mp4"),
        (["watch", "BC/CartPole-v0", "--out", "x.avi"], "videos are written as .mp4"),
        (["plot", "nowhere"], "nowhere"),
        (["train", "BC", "CartPole-v0", "--use-gpu"], "PyTorch finds no GPU; leave it out"),
        (["train", "BC", "CartPole-v0", "--record-video", "x.gif"], "written as .mp4, not as 'x.gif'"),
        (["train", "BC", "CartPole-v0", "--record-video", "x.mp4", "--test-episodes", "0"], "must be at least 1"),
        (["test", "BC/CartPole-v0", "--record-video", "x.gif"], "written as .mp4, not as 'x.gif'"),
        (["train", "BC", "CartPole-v0", "--save-path", "/proc/x"], "save_path '/proc/x' can't be written to"),
        (["demos", "info", "nowhere.npz"], "no demonstrations at"),
    ],
)
def test_mistakes_are_a_line_each(arguments, why, monkeypatch):
    Path("broken.py").write_text("\n{}['pump']\n")
    Path("unclosed.py").write_text("print(\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path.cwd())])
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    message = run(*arguments)
    assert isinstance(message, str), message
    assert message.startswith("ilpyt: ")
    assert re.search(why, message)
    assert not Path("logs").exists()  # what never began leaves nothing


def test_an_environment_that_never_ends_is_pointed_out_before_the_test(capsys):
    flags = ["--num-steps", 64, "--rollout-steps", 2, "--test-episodes", 1, "--no-progress"]
    assert run("train", "PPO", "CartPole-v0", *flags, "--eval-interval", "None", "--env.num-env", 32) == 0
    assert "No episode of CartPole-v0 has ended in training." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["tran"], "Available subcommands: train, test, watch"),
        (["train", "PPO", "CartPole-v0", "--num-step", "8"], "--num-steps"),
        (["train", "PPO", "CartPole-v0", "--agent.lrr", "8"], "--agent.lr"),
        (["train", "PPO", "CartPole-v0", "--agent.lr", "Lin(1)"], "schedules are Linear, Piecewise, Exponential"),
        (["train", "PPO", "CartPole-v0", "--num-steps", "many"], "many"),
        (["train", "PPO", "CartPole-v0", "--env.make-kwargs", "[1]"], "isn't a JSON object"),
    ],
)
def test_mistyped_flags_are_answered_with_the_nearest(arguments, why, capsys):
    assert run(*arguments) == 2
    said = re.sub(r"\s*│\s*", " ", capsys.readouterr().err)
    assert why in said


def change(change_it):
    assert run("train", "BC", "CartPole-v0", *SHORT, "--save-path", "run") == 0
    config = json.loads(Path("run/config.json").read_text())
    change_it(config)
    Path("run/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change_it", "why"),
    [
        (lambda c: c["recipe"]["agent"].update(momentum=1), "`ilpyt train BC`.agent has no 'momentum'"),
        (lambda c: c["recipe"]["train"].update(num_epoch=1), "has no 'num_epoch'; did you mean num_epochs"),
        (lambda c: c.pop("recipe"), "of a script that made its agent itself"),
        (lambda c: c["recipe"].pop("net"), "net of its recipe is not there; it must be of type dict"),
        (lambda c: c["recipe"].update(env_id="strangers_module:Evil-v0"), "would import a module for 'strangers_mod"),
        (lambda c: c["recipe"].update(env={"wrappers": ["strangers_module:Foo"]}), "would run code of its module"),
        (  # a file that trusts itself
            lambda c: c["recipe"].update(train={"trust": True}, env={"wrappers": ["strangers_module:Foo"]}),
            "train of BC has no 'trust'",
        ),
        (lambda c: c["recipe"].update(initialize={"save_path": "/tmp/x"}), "initialize of BC has no 'save_path'"),
        (lambda c: c["recipe"].update(algorithm="TRPO"), "no algorithm 'TRPO'"),
        (lambda c: c["recipe"].update(env=[1]), "it must be of type dict"),
    ],
)
def test_a_config_that_cannot_be_followed_says_why(change_it, why, strangers_module):
    change(change_it)
    for flags in ([], ["--no-trust"]):
        assert re.search(why, str(run("train", "--config", "run", *flags)))


def test_a_config_of_another_version_or_algorithm_says_so(capsys):
    change(lambda config: config["versions"].update(ilpyt="0.0.9"))
    assert run("train", "--config", "run", *SHORT[2:]) == 0
    assert "was written by ilpyt 0.0.9, this is" in capsys.readouterr().err
    assert "is of BC, not of PPO" in run("train", "PPO", "CartPole-v0", "--config", "run")


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("tyro", ["--help"], "cli"),
        ("matplotlib", ["plot", "run"], "plot"),
        ("imageio_ffmpeg", ["watch", "BC/CartPole-v0", "--out", "x.mp4"], "video"),
        ("minari", ["demos", "info", "minari:a/b-v0"], "minari"),
        ("wandb", ["train", "BC", "CartPole-v0", "--wandb", "x"], "wandb"),
    ],
)
def test_what_is_missing_is_named_in_a_line(module, arguments, extra):
    assert run("train", "BC", "CartPole-v0", *SHORT, "--save-path", "run") == 0
    program = f"import sys; sys.modules[{module!r}] = None; from ilpyt.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ilpyt: this needs {module}: pip install 'ilpyt[{extra}]'"
    assert "Traceback" not in done.stderr


def test_completion_knows_commands_algorithms_and_flags():
    script = subprocess.run(
        [sys.executable, "-c", "from ilpyt.cli import main; main(['completion', 'bash'])"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    Path("ilpyt.bash").write_text(script)

    def complete(*words):
        ask = f"""
        source ilpyt.bash
        COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
        $(complete -p ilpyt | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    assert {"train", "watch", "plot"} <= complete("ilpyt", "''")
    assert complete("ilpyt", "train", "GA") == {"GAIL"}
    assert "--agent.learner.lr" in complete("ilpyt", "train", "GAIL", "--agent.l")
    assert complete("ilpyt", "watch", "logs/by") == complete("ilpyt", "demos", "info", "by") == set()  # left to bash
    assert "complete -o bashdefault -o default -F" in script


def test_errors_that_quote_a_file_do_not_reach_the_terminal_raw():
    Path("run").mkdir()
    (Path("run") / "config.json").write_text(json.dumps({"recipe": "\x1b[2J"}))
    message = run("train", "--config", "run/\x1b]0;x\x07")
    assert "\x1b" not in message
    assert "\\x1b]0;x\\x07" in message


def test_commands_take_what_their_functions_take():
    from ilpyt.cli.plot import plot
    from ilpyt.cli.record import record
    from ilpyt.plots import plot_runs
    from ilpyt.recording import record as record_episodes

    for command, function in ((plot, plot_runs), (record, record_episodes)):
        own, theirs = (inspect.signature(f).parameters for f in (command, function))
        assert list(own) == list(theirs)
        defaults = {name: parameter.default for name, parameter in own.items() if name != "make_kwargs"}
        assert defaults == {name: theirs[name].default for name in defaults}


def test_errors_can_be_traced(monkeypatch):
    monkeypatch.setenv("ILPYT_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no algorithm"):
        main(["train", "gail", "CartPole-v0"])


def test_table_1_has_its_own_flags():
    command = [sys.executable, "-c", "from ilpyt.cli import main; main(['table1', '--help'])"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})
    assert (done.returncode, "--publish" in done.stdout) == (0, True)


def test_the_policy_of_a_run_is_watched_in_its_own_environment(capsys):
    pytest.importorskip("imageio_ffmpeg")
    flags = ["--num-steps", 200, "--eval-interval", "None", "--until", "None", "--no-progress", "--test-episodes", 0]
    assert run("train", "DQN", "MountainCarContinuous-v0", *flags, "--save-path", "run") == 0
    assert run("test", "run", "--episodes", 1) == 0
    policy = ilpyt.zoo.load_run("run")
    with policy.build_env(num_env=1) as env:
        (expected,) = evaluate(policy.agent, env, 1)
    assert f"{expected:.2f} +/- 0.00" in capsys.readouterr().out
