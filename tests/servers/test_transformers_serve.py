"""The openai policy against ``transformers serve``: a whole rollout, and a server killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("httpx2")
pytest.importorskip("transformers")
from palaestra.agents.benchmark import benchmark
from palaestra.agents.contestants import Contestant
from palaestra.agents.episode import read_episodes, sequences
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Sampling
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import make_panel
from palaestra.errors import FailureRateError, OptionError, UnknownNameError
from servers.transformers_serve import free_port, save_tiny_model, serving

pytestmark = pytest.mark.server

# The server's packages may live in an environment of their own.
PYTHON = os.environ.get("PALAESTRA_SERVER_PYTHON", sys.executable)


class Served:
    """A model folder and what is needed to serve it again at the same address."""

    def __init__(self, folder):
        self.model = folder / "model"
        save_tiny_model(self.model)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "server.log"
        self._command = [
            *(PYTHON, "-m", "transformers.cli.transformers", "serve", str(self.model)),
            *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu"),
        ]

    def start(self):
        return serving(self._command, self.url, self._log)

    def name(self, options="concurrency=1"):
        return f"openai:{self.model}@{self.url}/v1#{options}"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    probe = "from transformers.utils.import_utils import is_serve_available as f; raise SystemExit(not f())"
    if subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode:
        pytest.skip("transformers serve needs pip install 'transformers[serving]' (PALAESTRA_SERVER_PYTHON)")
    return Served(tmp_path_factory.mktemp("served"))


def jobs(count):
    return [Job(item) for item in make_panel("palaestra/GuessNumber-v0", count, seed=1).items]


def play(served):
    policy = load_policy(served.name())
    sampling = Sampling(temperature=1.0, max_tokens=8)
    try:
        return rollout(jobs(3), react(sampling=sampling), policy, RolloutSettings(concurrency=3, retries=0))
    finally:
        policy.server.close()


def test_whole_rollouts_a_wrong_model_and_a_server_killed_in_the_middle(served, tmp_path):
    # One test, since each start of the server takes many seconds.
    with served.start() as process:
        check_a_rollout(served)
        check_a_wrong_model(served)
        panel = make_panel("palaestra/GuessNumber-v0", 40, seed=2)
        out, name = tmp_path / "bench", "served"
        contestant = Contestant(name, served.name("concurrency=2&retries=1"), temperature=1.0, max_tokens=4)
        path = out / f"episodes-{name}-0.jsonl"
        killer = threading.Thread(target=kill_after, args=(process, path, 5))
        killer.start()
        with pytest.raises(FailureRateError):
            benchmark(panel, [contestant], out, settings=RolloutSettings(concurrency=4))
        killer.join()
    before = list(read_episodes(path))
    failed = [episode for episode in before if episode.failed]
    judged = {episode.key for episode in before if not episode.failed}
    assert len(judged) >= 5
    assert failed
    assert all("127.0.0.1" in episode.failure and "failed 2 times" in episode.failure for episode in failed)
    assert all(episode.tags["retries"] == 2 for episode in failed)
    with served.start():
        results = benchmark(panel, [contestant], out, settings=RolloutSettings(concurrency=4))
    after = list(read_episodes(path))[len(before) :]
    assert {episode.key for episode in after} == {item.key for item in panel.items} - judged
    assert len(after) == 40 - len(judged)
    assert results.scores[0].episodes == 40
    assert results.scores[0].failures == 0


def check_a_rollout(served):
    first, second = play(served), play(served)
    for episode in first:
        assert not episode.failed, episode.failure
        assert episode.outcome == "truncated" or episode.success
        assert len(sequences(episode)) == 1
        counts = [turn.tags["prompt_tokens"] for turn in episode.turns]
        assert counts == sorted(counts)
        assert all(0 < turn.tags["completion_tokens"] <= 8 for turn in episode.turns)
        assert all(turn.tags["logprobs"] == "unknown" for turn in episode.turns)
    said = [[turn.action for turn in episode.turns] for episode in first]
    assert len({tuple(actions) for actions in said}) == 3
    # The server honours the seeds, so a run can be repeated.
    assert said == [[turn.action for turn in episode.turns] for episode in second]


def check_a_wrong_model(served):
    policy = load_policy(f"openai:another@{served.url}/v1")
    # Releases of the server before 5.24 say that the model is pinned, later ones that there is no such model.
    with pytest.raises((OptionError, UnknownNameError), match=r"pinned|unknown model"):
        rollout(jobs(1), react(), policy)
    policy.server.close()


def kill_after(process, path, episodes):
    """Kill the server once that many episodes are on disk, or after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not (path.exists() and path.read_bytes().count(b"\n") >= episodes):
        time.sleep(0.02)
    process.kill()
