"""SPEAR against GRPO where a tool can be called and need not be: sums, with Python at hand.

    python benchmarks/studies/spear_math.py --seeds 5

The sums are too large for the policy's head. Its clone has seen them answered at once in two of three
episodes, and by Python in the third. All arms of a seed start from the same clone and stop after the same
number of actions. The arms are those of ``spear.py``, and one with the bonus but without imitation. The
bonus counts programs that were run.

Rewards are 1 for a right answer. Settings were chosen on split valid, with seed 0 alone.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import partial
from pathlib import Path
from typing import Any

from arms import STARTS, Arm, Study, main, sampled
from spear import CURVES, recipes, trained

from palaestra.envs.math.env import MathEnv
from palaestra.envs.panel import make_panel
from palaestra.envs.registration import register
from palaestra.trainers import sft

ENV = "palaestra/Math-v0"
SHOWN = "studies/ShownMath-v0"
OPTIONS: dict[str, Any] = {"tools": "python", "generators": ["chain_sum"], "max_steps": 4}
TYPED = tuple(f"{name}={json.dumps(value)}" for name, value in OPTIONS.items())
MAX_NEW_TOKENS = 40
MAX_CONTEXT_TOKENS = 400
SHOWS_THE_TOOL = 3
"""One in so many expert episodes asks Python."""

ENVIRONMENT_STEPS = 12_000
SCHEDULE = 60
_EVERY = recipes(SCHEDULE, replay_rows=32)
ARMS: dict[str, dict[str, object]] = {
    **{name: _EVERY[name] for name in ("GRPO", "more steps on good rows", "plain self-imitation")},
    **{name: _EVERY[name] for name in ("SPEAR without bonus", "SPEAR")},
    "GRPO with the falling bonus": _EVERY["GRPO"] | {"tool_reward": "cosine", "tool_decay": SCHEDULE},
}

FINDINGS = """
## What was found

Every arm learns to ask Python: from a third of the episodes at the start to nearly all of them at the end,
and from 16 % of the sums to 46 to 49 %. What is left is how well the clone copies what Python prints, which
differs much by seed (from 22 to 89 %) and little by arm.

* SPEAR ends 2.5 points above GRPO (-2.5 to +7.4), without its bonus 2.0 (-2.2 to +6.2), plain self-imitation
  1.5, the control that takes more steps on good rows 1.4. No interval excludes zero. In four seeds SPEAR and
  GRPO are within 6 points of each other; most of the mean is the seed whose clone copies worst, where SPEAR
  reaches 29 % and GRPO 22 %; the control reaches 29 % there too.
* What imitation brings is speed: SPEAR asks Python in nine of ten episodes after 16 to 30 iterations, GRPO
  after 20 to 48, and success over all of training is 0.385 against 0.358. The control learns fastest (0.407).
* The falling bonus for calls brings nothing by itself (-1.0 point, -3.4 to +1.4): success pays for the tool
  from the first iteration on, so there is nothing that a bonus would have to lead to. It does no harm
  either: without the division by the group's spread it stays small beside a success.

## How to read this

Where the tool is optional and pays, GRPO finds it without help. The bonus is meant for policies that would
give up a tool before it pays; the clones here know it well enough. One setting of each arm was measured.
"""


class ShownMathEnv(MathEnv):
    """Math whose expert asks Python in some tasks, by a hash of the task, and answers the others at once."""

    def expert(self) -> str:
        """Return the program and then its result, or at once the sum written out with the gold answer."""
        terms = re.findall(r"problem: (.*) =", self.task.goal)[0]
        if zlib.crc32(self.task.id.encode()) % SHOWS_THE_TOOL:
            return f"{terms} = {super().expert()}"
        return f"```python\nprint({terms})\n```" if self.steps == 0 else super().expert()


register(SHOWN, "spear_math:ShownMathEnv")


def start(seed: int) -> Path:
    """Return a clone of that expert, the start of every arm of this seed (made when it is not there)."""
    run = STARTS / f"math-{seed}"
    if not (run / "policy").exists():
        size = {"width": 64, "layers": 2, "heads": 4, "vocab_size": 310}
        rates = {"learning_rate": 3e-3, "batch_tokens": 3000, "epochs": 6, "noise": 0.0}
        shown: dict[str, object] = {"episodes": 4000, "seed": seed, "threads": 1}
        shown |= {"max_context_tokens": MAX_CONTEXT_TOKENS}
        sft.train(sft.Config(env=SHOWN, options=TYPED, out=run, **size | rates | shown))  # type: ignore[arg-type]
    return run / "policy"


def train(changes: dict[str, object], seed: int, folder: Path) -> Path:
    """Train one arm of one seed."""
    settings: dict[str, object] = {
        "policy": f"tiny:{start(seed)}",
        "env": ENV,
        "options": TYPED,
        "out": folder / "run",
        "iterations": 3 * SCHEDULE,
        "environment_steps": ENVIRONMENT_STEPS,
        "tasks_per_iteration": 16,
        "group_size": 8,
        "max_new_tokens": MAX_NEW_TOKENS,
        "max_context_tokens": MAX_CONTEXT_TOKENS,
        "learning_rate": 3e-4,
        "warmup_steps": 5,
        "save_episodes_every": 0,
        "checkpoint_every": 1000,
        "seed": seed,
        "threads": 1,
    }
    return trained(settings | changes, folder)


STUDY = Study(
    name="spear_math",
    title="SPEAR against GRPO on sums, with Python at hand",
    question="Where a tool is optional and pays: does SPEAR, and does its bonus for calls, beat GRPO?",
    arms=[Arm(name, partial(train, changes)) for name, changes in ARMS.items()],
    baseline="GRPO",
    findings=FINDINGS,
    panels={
        "split test": make_panel(
            ENV, 300, seed=1, options=OPTIONS | {"split": "test"}, name="sums, test (300)"
        )
    },
    contestant=partial(sampled, max_tokens=MAX_NEW_TOKENS, remind_goal=False),
    curves=CURVES,
)

if __name__ == "__main__":
    main(STUDY)
