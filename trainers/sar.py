"""Self-aligned reward: answers that become much likelier by the question are worth more.

SAR (Han et al. 2025, arXiv 2509.05489), on GRPO. To what the environment pays for an answer a to a question
q, right or wrong, comes

    alpha * clip((ppl(a) - ppl(a | q)) / ppl(a), -1, 1)

where ppl is the perplexity exp(-mean log p) of the answer's tokens under the policy that sampled them, with
and without the question before them. What is said whatever the question (padding, repetition, talk) is as
likely without it and earns nothing, so answers become short and to the point.

In an episode of many turns, the answer is all that the agent wrote, and the question is the goal: its text is
cut out of every prompt, and everything else (what was seen and done) stays. The log-probs with the question
are those recorded at sampling; those without cost one forward pass. Environments whose prompts do not hold
the goal word for word are refused. As published, advantages are not divided by the group's standard
deviation: in groups whose tries all failed, that would blow small differences up to the size of a success.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from palaestra.agents.episode import Episode
from palaestra.agents.policies.core import Tokenizer
from palaestra.errors import OptionError
from palaestra.trainers import grpo
from palaestra.trainers.core.advantages import Credit
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import Metrics
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.scoring import sampled_logprobs

# Where an episode keeps what it earned, so that it is computed once and stays in the saved episodes.
TAG = "self_aligned"


@dataclass(frozen=True)
class Config(grpo.Config):
    """Improve a policy by its own tries, and reward what the question makes likely. The same command again
    resumes the run; more ``iterations`` continue it.
    """

    out: Path = Path("runs/sar")
    """The run directory. The trained policy is left in its folder `policy`."""
    self_aligned_weight: float = 0.2
    """The weight alpha of the self-aligned reward beside the environment's; 0 is plain GRPO."""
    normalise_std: bool = False
    """Divide advantages by the group's standard deviation; SAR does not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("self_aligned_weight",), or_zero=True)
        if self.self_aligned_weight:
            because = "with the self-aligned reward, hardly a group has equal returns"
            refuse_idle(self, ("resampling_rounds",), because)


PRESETS: dict[str, dict[str, object]] = {
    # Qwen3-1.7B and 4B-Base on mathematics, one turn.
    "published": {
        "self_aligned_weight": 0.2,
        "iterations": 500,
        "tasks_per_iteration": 128,
        "group_size": 6,
        "mini_batches": 2,
        "learning_rate": 1e-6,
        "kl_coefficient": 1e-3,
        "aggregation": "constant",
        "constant_tokens": 4096,
        "max_new_tokens": 4096,
        "max_context_tokens": 5120,
        "device": "cuda",
    },
}


def self_aligned(given: Sequence[float], alone: Sequence[float]) -> float:
    """Return clip((ppl(a) - ppl(a | q)) / ppl(a), -1, 1) of an answer's log-probs ``given`` the question and
    ``alone``; 0 for an answer of no tokens.
    """
    if not given:
        return 0.0
    # ppl(a | q) / ppl(a); beyond e the reward is clipped anyway, and exp could overflow.
    ratio = math.exp(min(mean(alone) - mean(given), 1.0))
    return max(1.0 - ratio, -1.0)


def without_question(row: Row, question: str, tokenizer: Tokenizer) -> Row:
    """Return ``row`` less the tokens that spell ``question`` where the policy was shown it.

    A token that holds an end of the question and something else goes with it. The row's first token stays
    in any case, so that the answer has something before it.
    """
    kept: list[int] = []
    begin = 0
    while begin < len(row.ids):
        end = begin
        while end < len(row.ids) and row.sampled[end] == row.sampled[begin]:
            end += 1
        cut = set() if row.sampled[begin] else _spelling(row.ids[begin:end], question, tokenizer)
        kept += [at for at in range(begin, end) if at == 0 or at - begin not in cut]
        begin = end
    return Row(
        ids=[row.ids[at] for at in kept],
        sampled=[row.sampled[at] for at in kept],
        logprobs=[row.logprobs[at] for at in kept],
        group=row.group,
    )


def _spelling(ids: Sequence[int], question: str, tokenizer: Tokenizer) -> set[int]:
    """Return which of ``ids`` spell ``question``, at all places where their text holds it."""
    text = tokenizer.decode(list(ids))
    prefixes = range(len(ids) + 1)

    def length(tokens: int) -> int:
        return len(tokenizer.decode(list(ids[:tokens])))

    found: set[int] = set()
    start = text.find(question)
    while question and start >= 0:
        first = bisect.bisect_right(prefixes, start, key=length) - 1
        after = bisect.bisect_left(prefixes, start + len(question), key=length)
        found.update(range(first, after))
        start = text.find(question, start + len(question))
    return found


class SAR(grpo.GRPO[Config]):
    """GRPO on the environment's reward and the self-aligned one."""

    def compare(self, episodes: Sequence[Episode]) -> Credit:
        """Return every turn's advantage over its group, by both rewards."""
        weight = self.config.self_aligned_weight
        if not weight:
            return super().compare(episodes)
        self.align([episode for episode in episodes if not episode.failed and TAG not in episode.tags])
        return super().compare(
            [replace(e, reward=e.reward + weight * e.tags.get(TAG, 0.0)) for e in episodes]
        )

    def align(self, episodes: Sequence[Episode]) -> None:
        """Tag ``episodes`` with their self-aligned reward. Raises ``OptionError`` where a prompt does not
        hold its goal.
        """
        rows = [policy_rows(episode, [0.0] * len(episode.turns)) for episode in episodes]
        cut = [
            [without_question(row, episode.goal, self.policy.tokenizer) for row in of_episode]
            for episode, of_episode in zip(episodes, rows, strict=True)
        ]
        for episode, whole, less in zip(episodes, rows, cut, strict=True):
            if whole and sum(len(row.ids) for row in whole) == sum(len(row.ids) for row in less):
                raise OptionError(
                    f"the prompts of {episode.env_id} do not hold the goal {episode.goal!r} word for word, "
                    "so SAR finds no question to leave out; self_aligned_weight=0 trains without it"
                )
        scores = iter(
            sampled_logprobs(
                self.policy.model,
                [row for of_episode in cut for row in of_episode],
                tokens_per_micro_batch=self.config.tokens_per_micro_batch,
                device=self.config.device,
            )
        )
        for episode, less in zip(episodes, cut, strict=True):
            alone = [value for _ in less for value in next(scores)]
            given = [value for turn in episode.turns for value in turn.logprobs]
            episode.tags[TAG] = self_aligned(given, alone)

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return GRPO's rows, and what right and wrong answers earned by being self-aligned."""
        rows, metrics = super().credit(iteration, episodes)
        for name, success in (("right", True), ("wrong", False)):
            earned = [e.tags[TAG] for e in episodes if TAG in e.tags and e.success == success]
            if earned:
                metrics[f"rollout/self_aligned_{name}"] = mean(earned)
        return rows, metrics


def train(config: Config) -> Path:
    """Run SAR (or go on with it) and return the run directory."""
    return run("sar", config, SAR)
