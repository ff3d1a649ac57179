"""What the tests of trainers ask of a run directory, and how they break a run off."""

import contextlib
import json

import pytest
import torch

from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.trainers import sft

SHAPE = {"width": 32, "layers": 1, "heads": 2, "vocab_size": 300}


def cloned(out, env, *, expert_of, epochs):
    """A very small clone of the expert of doors (tests/doors.py) that knows only some of the colours."""
    sft.train(
        sft.Config(
            env=env,
            options=(f"expert_of={expert_of}",),
            out=out,
            **SHAPE,
            episodes=40,
            keep_failures=True,
            noise=0.3,
            epochs=epochs,
            batch_tokens=200,
            learning_rate=1e-2,
            warmup_steps=2,
            max_context_tokens=200,
        )
    )
    return out / "policy"


def weights_in(folder):
    """The weights of the policy in a folder."""
    return TinyPolicy.load(folder).model.state_dict()


def weights(run):
    """The weights of the policy that a run left."""
    return weights_in(run / "policy")


def same(first, second):
    """Whether all of the first weights are among the second, to the last bit."""
    return all(torch.equal(value, second[name]) for name, value in first.items())


def same_weights(first, second):
    """Whether two runs left the same weights, to the last bit."""
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def metrics(run):
    """All metrics but times, which end in ``_s``."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.endswith("_s")} for row in rows]


def overheard(monkeypatch):
    """A list that fills with every prompt, as text, that a tiny policy is given."""
    asked, generate = [], TinyPolicy.generate

    async def listening(self, requests):
        asked.extend(self.tokenizer.decode(list(request.ids)) for request in requests)
        return await generate(self, requests)

    monkeypatch.setattr(TinyPolicy, "generate", listening)
    return asked


@contextlib.contextmanager
def stopped_after(monkeypatch, owner, method, calls):
    """Stop as if Ctrl-C was pressed in call ``calls`` + 1 of a method."""
    original, done = getattr(owner, method), []

    def stopping(self, argument):
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(1)
        return original(self, argument)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, stopping)
        with pytest.raises(KeyboardInterrupt):
            yield
