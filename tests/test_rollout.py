"""Rollouts: order, batches, failures, deadlines, retries, what is on disk after each of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sibling_env import ID as SIBLINGS
from troubled_env import ID, WAITING_ID, TroubledEnv, TroubledWaitingEnv

from palaestra.agents.context import ContextFull, reencode
from palaestra.agents.episode import EpisodeWriter, read_episodes, sequences
from palaestra.agents.policies.core import Completion, Sampling
from palaestra.agents.policies.scripted import ExpertPolicy, RandomPolicy, ScriptedPolicy
from palaestra.agents.progress import RolloutProgress
from palaestra.agents.react import make_context, parse, react
from palaestra.agents.rollout import Actor, Job, RolloutSettings, rollout
from palaestra.envs.panel import PanelItem, make_panel
from palaestra.errors import (
    ContractError,
    DeadlineError,
    FailureRateError,
    OptionError,
    StorageError,
    UnknownNameError,
)

GUESS = "palaestra/GuessNumber-v0"


@pytest.fixture(autouse=True)
def _fresh_environments():
    TroubledEnv.forget()
    yield
    TroubledEnv.release.set()


def jobs(count, env_id=ID, **options):
    return [Job(PanelItem(env_id, f"task-{i}", i, options), group=f"g{i}") for i in range(count)]


def settings(**changes):
    return RolloutSettings(**{"max_failure_rate": 1.0, "gather_wait_s": 0.005, **changes})


class Recorder:
    """A policy that says ``go`` and notes its batches."""

    name = "recorder"

    def __init__(self, function=None):
        self._inner = ScriptedPolicy(lambda view: "go")
        self._function = function
        self.batches, self.forgotten = [], []

    @property
    def tokenizer(self):
        return self._inner.tokenizer

    async def generate(self, requests):
        self.batches.append([request.view.info["task_id"] for request in requests])
        if self._function is not None:
            await self._function(len(self.batches))
        return await self._inner.generate(requests)

    def forget(self, session):
        self.forgotten.append(session)


# ---- what an environment measured ----------------------------------------------------------------------


def siblings(*tasks, **options):
    return [Job(PanelItem(SIBLINGS, task, 0, options)) for task in tasks]


def test_metrics_and_siblings_are_tags_of_the_episode():
    paid, mailed = rollout(siblings("pay_1", "mail_1"), react(), ExpertPolicy())
    assert paid.tags == {"siblings": True, "metrics": {"calls": 4.0, "paid": 2.0}}
    assert mailed.tags == {"siblings": True, "metrics": {"calls": 4.0}}
    assert rollout(jobs(1), react(), ExpertPolicy())[0].tags == {}


def test_metrics_are_those_of_the_last_step_that_was_taken():
    async def twice(actor):
        await actor.step("ab")
        await actor.step("abc")

    async def never(actor):
        assert actor.info["metrics"] == {"calls": 0.0}

    for agent, calls in ((twice, 5.0), (never, 0.0)):
        [episode] = rollout(siblings("note_2"), agent, ExpertPolicy())
        assert (episode.outcome, episode.tags["metrics"]) == ("truncated", {"calls": calls})


def test_a_metric_that_is_no_finite_number_is_a_failure():
    [episode] = rollout(siblings("note_1", metric=float("nan")), react(), ExpertPolicy(), settings(retries=0))
    assert episode.failed
    assert "test/Siblings-v0: the metric 'calls' must be finite" in episode.failure


def test_an_episode_that_could_not_begin_knows_its_scenario():
    played = rollout(
        siblings("pay_1", "mail_2", "pay_2", broken="mail_2"),
        react(),
        ExpertPolicy(),
        settings(concurrency=1, retries=0),
    )
    assert [(episode.failed, episode.scenario) for episode in played] == [
        (False, "pay"),
        (True, "mail"),
        (False, "pay"),
    ]
    assert all(episode.tags["siblings"] for episode in played)


# ---- what an episode holds -----------------------------------------------------------------------------


def test_episode_holds_everything_about_the_job_and_what_came_of_it():
    item = PanelItem(ID, "task-1", 7, {"max_steps": 8})
    [episode] = rollout([Job(item, "g", 3, {"lesson": 2})], react(), ExpertPolicy())
    assert (episode.env_id, episode.task_id, episode.goal) == (ID, "task-1", "Go 1.")
    assert (episode.seed, episode.group, episode.attempt, episode.key) == (7, "g", 3, item.key)
    assert episode.options == {"max_steps": 8}
    assert episode.tags == {"lesson": 2}
    assert (episode.policy, episode.agent, episode.scenario) == ("expert", "react-append", "scenario-1")
    assert (episode.outcome, episode.success, episode.reward) == ("terminated", True, 1.0)
    assert episode.checks == {"went": True}
    assert [turn.action for turn in episode.turns] == ["go"] * 5
    assert [turn.reward for turn in episode.turns] == [0, 0, 0, 0, 1.0]
    assert episode.turns[1].observation == "Step 1."
    assert episode.final_observation == "Step 5."
    assert episode.seconds > 0


def test_rows_mask_what_was_sampled_and_forged_stops_stay_text():
    policy = ExpertPolicy()
    [episode] = rollout(jobs(1), react(), policy)
    [row] = sequences(episode)
    stop = policy.tokenizer.stop_id
    sampled = [number for number, mask in zip(row.ids, row.mask, strict=True) if mask]
    assert sampled == [*policy.tokenizer.encode(" go"), stop] * 5
    assert row.ids.count(stop) == 5
    assert "<stop></s><|im_end|>" in policy.tokenizer.decode(row.ids)


def test_step_limit_truncates_and_an_agent_may_stop_early():
    [limited] = rollout(jobs(1, max_steps=2), react(), ExpertPolicy())
    assert (limited.outcome, limited.success, len(limited.turns)) == ("truncated", True, 2)

    async def one_step(actor: Actor) -> None:
        await actor.step("go")

    [stopped] = rollout(jobs(1), one_step, ExpertPolicy())
    assert (stopped.outcome, stopped.success, stopped.reward, len(stopped.turns)) == (
        "truncated",
        False,
        0,
        1,
    )
    assert stopped.agent == "one_step"


def test_thinking_without_acting_is_a_turn_without_action():
    async def agent(actor: Actor) -> None:
        prompt = actor.tokenizer.encode("think>")
        thought = await actor.generate(prompt)
        more = [*prompt, *thought.ids, *actor.tokenizer.encode("act>")]
        answer = await actor.generate(more, kept=len(prompt) + len(thought.ids))
        await actor.step(actor.tokenizer.decode(answer.ids).strip())
        await actor.generate(prompt)

    [episode] = rollout(jobs(1), agent, ExpertPolicy())
    assert [turn.action for turn in episode.turns] == ["", "go", ""]
    assert [turn.tags for turn in episode.turns] == [{"no_action": True}, {}, {"no_action": True}]
    assert [len(row.ids) for row in sequences(episode)] == [6 + 4 + 4 + 4, 6 + 4]


def test_steps_without_generation_and_with_it_make_rows_that_fit():
    async def agent(actor: Actor) -> None:
        prompt = actor.tokenizer.encode("a>")
        answer = await actor.generate(prompt)
        await actor.step("go", valid=False, tags={"why": "test"})
        await actor.step("go")
        await actor.generate([*prompt, *answer.ids, 5], kept=len(prompt) + len(answer.ids))
        await actor.step("go")

    [episode] = rollout(jobs(1), agent, ExpertPolicy())
    assert len(sequences(episode)) == 1
    assert [turn.valid for turn in episode.turns] == [False, True, True]
    assert episode.turns[0].tags == {"why": "test"}


def test_stepping_after_the_end_is_the_agents_mistake():
    async def agent(actor: Actor) -> None:
        while True:
            await actor.step("go")

    [episode] = rollout(jobs(1), agent, ExpertPolicy(), settings())
    assert episode.failed
    assert "the episode is over" in episode.failure


def test_context_full_ends_an_episode_as_truncated():
    [episode] = rollout(jobs(1), react(max_context_tokens=90), ExpertPolicy())
    assert (episode.outcome, episode.tags, episode.failed) == ("truncated", {"context_full": True}, False)
    assert 0 < len(episode.turns) < 5
    sequences(episode)


# ---- many at once --------------------------------------------------------------------------------------


def test_episodes_come_in_the_order_of_the_jobs_and_environments_are_reused():
    episodes = rollout(jobs(20), react(), ExpertPolicy(), settings(concurrency=4))
    assert [episode.task_id for episode in episodes] == [f"task-{i}" for i in range(20)]
    assert TroubledEnv.made == TroubledEnv.closed == 4


def test_no_jobs_no_episodes():
    assert rollout([], react(), ExpertPolicy()) == []


def test_every_live_episode_is_in_each_batch_sorted_by_job():
    policy = Recorder()
    rollout(jobs(6), react(), policy, settings(concurrency=3, gather_wait_s=5.0))
    assert policy.batches == [["task-0", "task-1", "task-2"]] * 5 + [["task-3", "task-4", "task-5"]] * 5
    assert len(policy.forgotten) == len(set(policy.forgotten)) == 6


def test_a_batch_stays_sorted_when_a_new_job_takes_the_place_of_a_finished_one():
    policy = Recorder()
    short = Job(PanelItem(ID, "task-0", 0, {"max_steps": 1}))
    rollout([short, *jobs(4)[1:]], react(), policy, settings(concurrency=3, gather_wait_s=5.0))
    assert policy.batches[0] == ["task-0", "task-1", "task-2"]
    assert policy.batches[1:5] == [["task-1", "task-2", "task-3"]] * 4
    assert policy.batches[5] == ["task-3"]


def test_no_batch_is_larger_than_allowed():
    policy = Recorder()
    rollout(jobs(10), react(), policy, settings(max_batch=4))
    assert max(map(len, policy.batches)) == 4
    assert sum(map(len, policy.batches)) == 50


def test_waiting_environments_do_not_hold_up_the_others():
    policy = Recorder()
    episodes = rollout(jobs(10, WAITING_ID, trouble="slow"), react(), policy, settings(gather_wait_s=0.001))
    assert all(episode.success for episode in episodes)
    assert sum(map(len, policy.batches)) == 50
    assert TroubledWaitingEnv.made == TroubledWaitingEnv.closed == 10
    deadline = time.monotonic() + 10
    while any("Troubled" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread outlived its environment"
        time.sleep(0.01)


def test_an_expert_is_asked_in_the_thread_of_its_environment():
    # TroubledWaitingEnv asserts in every call that it is made in the thread that made the environment.
    episodes = rollout(jobs(3, WAITING_ID), react(), ExpertPolicy())
    assert [episode.failure for episode in episodes] == ["", "", ""]


@pytest.mark.parametrize("env_id", ["palaestra/ALFWorld-v0", GUESS])
def test_concurrency_and_order_do_not_change_episodes(env_id):
    options = {"max_steps": 6}
    panel = make_panel(env_id, 9, options=options)
    policy = (
        RandomPolicy() if "ALFWorld" in env_id else ScriptedPolicy(lambda view: str(len(view.observation)))
    )
    played = [Job(item, attempt=attempt) for item in panel.items for attempt in range(2)]

    def run(jobs, concurrency):
        episodes = rollout(jobs, react(), policy, settings(concurrency=concurrency))
        return [{**asdict(episode), "seconds": 0} for episode in episodes]

    one, many = run(played, 1), run(played, 64)
    assert one == many
    assert run(played[::-1], 5) == one[::-1]
    if "ALFWorld" in env_id:
        assert one[0]["turns"] != one[1]["turns"], "another attempt samples anew"


def test_works_inside_a_running_loop():
    async def notebook():
        return rollout(jobs(2), react(), ExpertPolicy())

    assert [episode.success for episode in asyncio.run(notebook())] == [True, True]


# ---- failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [ID, WAITING_ID])
@pytest.mark.parametrize(
    ("trouble", "said"),
    [("step", "broken at step 3"), ("reset", "no reset today"), ("verdict", "must be finite")],
)
def test_a_failing_environment_costs_its_own_episode_only(trouble, said, env_id):
    episodes = rollout(jobs(9, env_id, trouble=trouble), react(), ExpertPolicy(), settings(retries=2))
    assert [episode.failed for episode in episodes] == [i % 3 == 0 for i in range(9)]
    for failed in episodes[::3]:
        assert said in failed.failure
        assert (failed.success, failed.reward) == (False, 0.0)
        assert failed.tags == {"retries": 2, "failure_kind": "InfrastructureError"}
    assert all(episode.success for episode in episodes if not episode.failed)


def test_a_failure_is_tried_again_in_a_fresh_environment_with_the_same_randomness():
    troubled = rollout(jobs(6, trouble="once"), react(), ExpertPolicy(), settings(retries=1, concurrency=2))
    assert not any(episode.failed for episode in troubled)
    assert [episode.tags for episode in troubled] == [{"retries": 1}, {}, {}] * 2
    assert TroubledEnv.made == TroubledEnv.closed == 4
    calm = rollout(jobs(6), react(), ExpertPolicy())
    assert [e.turns for e in troubled] == [e.turns for e in calm]


def test_a_hanging_environment_is_abandoned():
    began = time.monotonic()
    episodes = rollout(
        jobs(4, WAITING_ID, trouble="hang"), react(), ExpertPolicy(), settings(step_deadline_s=0.2, retries=1)
    )
    assert time.monotonic() - began < 10
    assert [episode.failed for episode in episodes] == [True, False, False, True]
    assert "step took longer than 0.2 s" in episodes[0].failure


def test_an_agents_own_mistake_is_shown_and_not_tried_again():
    tries = []

    async def agent(actor: Actor) -> None:
        tries.append(actor.job.item.task_id)
        await actor.step("go")
        raise ZeroDivisionError("my own mistake")

    [episode] = rollout(jobs(1), agent, ExpertPolicy(), settings(retries=5))
    assert episode.failed
    assert "ZeroDivisionError: my own mistake" in episode.failure
    assert "test_rollout.py" in episode.failure
    assert tries == ["task-0"]
    assert len(episode.turns) == 1


def test_a_failed_episode_has_no_reward_that_could_be_used():
    async def agent(actor: Actor) -> None:
        while not actor.done:
            await actor.step("go")
        raise ZeroDivisionError

    [episode] = rollout(jobs(1), agent, ExpertPolicy(), settings())
    assert (episode.outcome, episode.reward, episode.success) == ("failed", 0.0, False)
    assert episode.turns[-1].reward == 1.0


def test_too_many_failures_stop_the_run_and_keep_what_was_written(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with EpisodeWriter(path) as writer, pytest.raises(FailureRateError, match="broken at step 3"):
        rollout(
            jobs(40, trouble="step"),
            react(),
            ExpertPolicy(),
            settings(max_failure_rate=0.2, concurrency=1, retries=0),
            writer,
        )
    written = list(read_episodes(path))
    assert len(written) == 20
    assert sum(episode.failed for episode in written) == 7


def test_few_failures_of_few_jobs_stop_the_run_only_at_its_end(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with EpisodeWriter(path) as writer, pytest.raises(FailureRateError):
        rollout(jobs(6, trouble="step"), react(), ExpertPolicy(), settings(max_failure_rate=0.1), writer)
    assert len(list(read_episodes(path))) == 6
    rollout(jobs(6, trouble="step"), react(), ExpertPolicy(), settings(max_failure_rate=0.5))


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (Job(PanelItem("test/Trubled-v0", "task-1", 0)), UnknownNameError),
        (Job(PanelItem(ID, "task-1", 0, {"truoble": "none"})), UnknownNameError),
        (Job(PanelItem(ID, "task-1000", 0)), UnknownNameError),
        (Job(PanelItem("CartPole-v1", "0", 0)), OptionError),
    ],
)
def test_a_job_that_cannot_be_played_stops_the_run_at_once(job, error):
    with pytest.raises(error):
        rollout([job], react(), ExpertPolicy(), settings(retries=5))


@pytest.mark.parametrize("changes", [{"concurrency": 0}, {"retries": -1}, {"max_failure_rate": 1.5}])
def test_settings_that_cannot_be_used(changes):
    with pytest.raises(OptionError):
        RolloutSettings(**changes)


def test_a_slow_policy_call_is_cancelled_and_tried_again():
    cancelled = []

    async def slow_once(batch):
        if batch == 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(batch)
                raise

    policy = Recorder(slow_once)
    episodes = rollout(jobs(3), react(), policy, settings(generate_deadline_s=0.3, retries=1))
    assert [episode.success for episode in episodes] == [True] * 3
    assert [episode.tags for episode in episodes] == [{"retries": 1}] * 3
    assert cancelled == [2]


def test_a_policy_that_is_stuck_ends_the_run(monkeypatch):
    monkeypatch.setattr("palaestra.agents.gathering._CANCEL_GRACE_S", 0.1)

    async def stuck(batch):
        TroubledEnv.release.wait(20)

    with pytest.raises(DeadlineError, match="the policy took longer"):
        rollout(jobs(3), react(), Recorder(stuck), settings(generate_deadline_s=0.2, retries=1))


def test_a_broken_policy_fails_the_episodes_with_its_traceback():
    async def broken(batch):
        raise KeyError("weights")

    [episode] = rollout(jobs(1), react(), Recorder(broken), settings())
    assert episode.failed
    assert "KeyError: 'weights'" in episode.failure


def test_a_policy_must_answer_every_request_with_equal_lists():
    class Forgetful(Recorder):
        async def generate(self, requests):
            return []

    class Uneven(Recorder):
        async def generate(self, requests):
            return [Completion([65, 257], [0.0], "stop") for _ in requests]

    for policy in (Forgetful(), Uneven()):
        [episode] = rollout(jobs(1), react(), policy, settings())
        assert episode.failed
        assert ContractError.__name__ in episode.failure


def test_an_agent_that_swallows_its_cancellation_cannot_hold_up_the_end():
    async def deaf(actor: Actor) -> None:
        if actor.job.item.seed == 1:
            raise OptionError("the run ends here")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        await asyncio.sleep(30)

    began = time.monotonic()
    with pytest.raises(OptionError, match="ends here"):
        rollout(jobs(2), deaf, ExpertPolicy(), settings())
    assert time.monotonic() - began < 20


def test_a_full_disk_stops_the_run(tmp_path):
    class Full(EpisodeWriter):
        def write(self, episode):
            if episode.task_id == "task-5":
                raise StorageError("no space")
            super().write(episode)

    path = tmp_path / "episodes.jsonl"
    with Full(path) as writer, pytest.raises(StorageError):
        rollout(jobs(9), react(), ExpertPolicy(), settings(concurrency=1), writer)
    assert [episode.task_id for episode in read_episodes(path)] == [f"task-{i}" for i in range(5)]
    assert TroubledEnv.made == TroubledEnv.closed


def test_an_interrupted_run_leaves_whole_episodes(tmp_path):
    path = tmp_path / "episodes.jsonl"
    program = f"""
        import signal
        from pathlib import Path
        from troubled_env import WAITING_ID
        from palaestra.agents.episode import EpisodeWriter
        from palaestra.agents.policies.scripted import ExpertPolicy
        from palaestra.agents.react import react
        from palaestra.agents.rollout import Job, RolloutSettings, rollout
        from palaestra.envs.panel import PanelItem
        # A shell starts its background jobs with interrupts ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        items = [PanelItem(WAITING_ID, f"task-{{i % 40}}", i, {{"trouble": "slow"}}) for i in range(100000)]
        with EpisodeWriter(Path({str(path)!r})) as writer:
            settings = RolloutSettings(concurrency=8)
            rollout([Job(item) for item in items], react(), ExpertPolicy(), settings, writer)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 20_000):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    assert path.read_bytes().endswith(b"\n")
    assert all(episode.success for episode in read_episodes(path))


# ---- ReAct ---------------------------------------------------------------------------------------------


def test_react_thinks_and_keeps_the_thought_out_of_the_action():
    policy = ScriptedPolicy(lambda view: "Thought: onwards. Action: go")
    [episode] = rollout(jobs(1), react(thought=True), policy)
    assert [turn.action for turn in episode.turns] == ["go"] * 5
    assert all(turn.valid for turn in episode.turns)
    assert episode.turns[0].tags == {"thought": "onwards."}
    assert episode.agent == "react-append-thought"


def test_react_takes_text_of_another_form_as_it_stands():
    policy = ScriptedPolicy(lambda view: "just go")
    [episode] = rollout(jobs(1), react(thought=True), policy)
    assert [(turn.action, turn.valid) for turn in episode.turns] == [("just go", False)] * 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thought: a\nAction: b", ("a", "b", True)),
        (" Thought: Action: b", ("", "b", True)),
        ("Thought: a Action: b Action: c", ("a", "b Action: c", True)),
        ("Thought: a Action:", ("", "Thought: a Action:", False)),
        ("Action: b", ("", "Action: b", False)),
        ("", ("", "", False)),
    ],
)
def test_parse(text, expected):
    assert parse(text) == expected


def test_react_marks_actions_that_are_not_admissible():
    panel = make_panel("palaestra/ALFWorld-v0", 1, options={"max_steps": 2})
    said = iter(["fly to the moon", "look"])
    [episode] = rollout([Job(panel.items[0])], react(), ScriptedPolicy(lambda view: next(said)))
    assert [turn.valid for turn in episode.turns] == [False, True]


def test_react_window_rows():
    [episode] = rollout(jobs(1), react("window", window_turns=2), ExpertPolicy())
    rows = sequences(episode)
    assert [turn.kept for turn in episode.turns] == [0] * 5
    assert len(rows) == 5
    assert len(rows[4].ids) < len(rows[0].ids) + 4 * len(" go>Step 1.\n")
    assert episode.agent == "react-window2"


def test_react_reminds_of_the_goal_and_reencoding_does_the_same():
    policy = ExpertPolicy()
    [episode] = rollout(jobs(1), react(remind_goal=True), policy)
    first, second = (policy.tokenizer.decode(turn.prompt_ids) for turn in episode.turns[:2])
    assert "Task:" not in first
    assert second == "Step 1.\nTask: Go 0.\n>"
    assert episode.turns[1].observation == "Step 1.", "the record holds what the environment said"
    assert episode.agent == "react-append-goal"
    context = make_context("append", policy.tokenizer, 10_000)
    assert reencode(episode, context, remind_goal=True).turns == episode.turns


def test_react_refuses_settings_that_do_nothing():
    with pytest.raises(OptionError):
        react("append", window_turns=3)
    with pytest.raises(OptionError):
        react("window")
    with pytest.raises(UnknownNameError, match="window"):
        react("windo")  # pyright: ignore


def test_context_full_reaches_only_the_engine():
    async def agent(actor: Actor) -> None:
        raise ContextFull("enough")

    [episode] = rollout(jobs(1), agent, ExpertPolicy())
    assert (episode.outcome, episode.turns) == ("truncated", [])


# ---- progress ------------------------------------------------------------------------------------------


def test_progress_counts_and_prints_plain_lines_without_a_terminal(capsys):
    with RolloutProgress("playing", 6) as progress:
        rollout(jobs(6, trouble="step"), react(), ExpertPolicy(), settings(retries=0), progress=progress)
    assert (progress.done, progress.failures, progress.successes) == (6, 2, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("playing 6/6  success 100%  reward 1.00")
    assert lines[-1].endswith("failures 2")


def test_sampling_belongs_to_the_item_and_the_attempt():
    drawn = {}

    async def agent(actor: Actor) -> None:
        drawn[actor.job.item.seed, actor.job.attempt] = actor.generator.random()
        await actor.generate([1], Sampling())

    rollout(
        [Job(PanelItem(ID, "task-1", seed), attempt=a) for seed in (1, 2) for a in (0, 1)],
        agent,
        ExpertPolicy(),
    )
    assert drawn == {key: np.random.default_rng(list(key)).random() for key in drawn}
    assert len(set(drawn.values())) == 4
