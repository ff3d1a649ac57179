"""What the tests of trainers ask of a run directory, and how they break a run off."""

import contextlib
import json

import pytest
import torch

from palaestra.agents.policies.tiny import TinyPolicy


def weights(run):
    """The weights of the policy that a run left."""
    return TinyPolicy.load(run / "policy").model.state_dict()


def same_weights(first, second):
    """Whether two runs left the same weights, to the last bit."""
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def metrics(run):
    """All metrics but times, which end in ``_s``."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.endswith("_s")} for row in rows]


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
