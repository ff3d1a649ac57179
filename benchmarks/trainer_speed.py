"""One GRPO update, ours against TRL's GRPOTrainer: tokens a second, peak memory, and the same gradient.

    python -m venv TRL && TRL/bin/pip install trl==1.16.0 torch==2.13.0 transformers==5.23.0
    python benchmarks/trainer_speed.py --trl-python TRL/bin/python --smollm2 FOLDER

Both sides load the same model folder, get the same rows (token ids, masks, advantages, log-probs of the
policy that sampled) and take the same step: loss, backward, clipping, AdamW, all in float32. Each lives in a
process of its own with the same number of threads; they take turns, so that a busy machine troubles both.

Ours is ``Learner.update(rows)``. TRL's is its whole training loop (``GRPOTrainer.train``), from the beginning
of a step to its end, with only the generation replaced: the rows come ready, padded as TRL pads them, and
the old log-probs come with them, so that it need not compute any. ``trl`` has TRL's defaults but float32 and
no gradient checkpointing, its fastest on a CPU; ``--contestants trl trl-checkpointing trl-shipped`` adds its
defaults in float32 and as they are (bfloat16, whose gradient is another).

The rows: ``episodes`` are ALFWorld episodes, eight tries of a task by a noisy expert, in a chat template;
``short`` are single-turn answers of 16-128 tokens (random ids) to prompts of 60-120. SmolLM2's folder is
made by ``palaestra models smollm2 --out FOLDER``; the Llamas of 10 M parameters are made here.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

TRIES = 8
LEARNING_RATE = 1e-6
SYSTEM = (
    "You act in a house. Answer each observation with one command, such as: go to shelf 1; open drawer 2."
)
# Both Llamas hold 10 M parameters: most of them in the vocabulary of SmolLM2, or most of them in layers.
LLAMAS: dict[str, dict[str, Any]] = {
    "llama-10m": {
        "vocab_size": 49152,
        "hidden_size": 160,
        "intermediate_size": 432,
        "num_hidden_layers": 7,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
    },
    "llama-10m-small-vocabulary": {
        "vocab_size": 8192,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 10,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
    },
}
CONTESTANTS = {
    "palaestra": "palaestra",
    "trl": "TRL, fp32, no checkpointing",
    "trl-checkpointing": "TRL, fp32, checkpointing (its default)",
    "trl-shipped": "TRL as shipped (bf16, checkpointing)",
}
KINDS = {
    "aten::mm": "matrix products",
    "aten::addmm": "matrix products",
    "scaled_dot_product": "attention",
    "AdamW": "AdamW and clipping",
    "adamw": "AdamW and clipping",
    "_foreach": "AdamW and clipping",
}


# ---- what both sides share: a process that takes a step when it is told to ----


class Stopwatch:
    """Seconds of wall and of processor time of this process, all threads."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Return the seconds since it was made."""
        return {"wall_s": time.perf_counter() - self._wall, "cpu_s": time.process_time() - self._cpu}


def answer(record: dict[str, Any]) -> None:
    print("@" + json.dumps(record), flush=True)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def versions(*packages: str) -> str:
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def load(folder: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save_gradients(model: Any, path: str) -> None:
    from safetensors.torch import save_file

    save_file({name: p.grad.contiguous() for name, p in model.named_parameters()}, path)


# ---- our side ----


def run_palaestra(arguments: argparse.Namespace) -> None:
    import torch

    from palaestra.trainers.core.batch import Row
    from palaestra.trainers.core.learner import Learner, LearnerConfig

    torch.set_num_threads(arguments.threads)
    rows = [Row(**row) for row in json.loads(Path(arguments.rows).read_text())]
    model = load(arguments.model)
    config = LearnerConfig(
        learning_rate=LEARNING_RATE,
        warmup_steps=0,
        betas=(0.9, 0.999),
        tokens_per_micro_batch=arguments.tokens_per_micro_batch,
    )
    learner = Learner(model, config)
    answer({"ready_mib": peak_mib(), "versions": versions("torch", "transformers", "palaestra")})
    for line in sys.stdin:
        command, _, path = line.strip().partition(" ")
        if command == "profile":
            answer(profile(learner, rows))
            continue
        watch = Stopwatch()
        metrics = learner.update(rows)
        record = {**watch.read(), "peak_mib": peak_mib(), "loss": metrics["loss"]}
        record |= {"norm": metrics["grad_norm"], "read_tokens": metrics["read_tokens"]}
        if path:
            save_gradients(model, path)
        answer(record)


def profile(learner: Any, rows: list[Any]) -> dict[str, Any]:
    """Return the processor seconds of one update by phase, and the share of each kind of operation."""
    import torch

    from palaestra.trainers.core import learner as module
    from palaestra.trainers.core import losses, trees

    spent: dict[str, float] = {}
    phases = [
        (trees, "grow", "packing (rows to lines)"),
        (trees, "hidden_states", "forward: layers"),
        (losses, "scores", "forward: head, log-probs, entropy"),
        (torch.Tensor, "backward", "backward: all"),
        (losses._Scores, "backward", "backward: of it the head"),
        (module.nn.utils, "clip_grad_norm_", "clipping"),
        (learner.optimizer, "step", "AdamW"),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, label in phases:
            stack.enter_context(clocked(owner, name, label, spent))
        watch = Stopwatch()
        learner.update(rows)
        spent["the whole update"] = watch.read()["cpu_s"]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        learner.update(rows)
    kinds: dict[str, float] = {}
    for event in profiled.key_averages():
        matched = (kind for part, kind in KINDS.items() if part in event.key)
        kind = next(matched, "everything else")
        kinds[kind] = kinds.get(kind, 0.0) + event.self_cpu_time_total
    return {"phases": spent, "kinds": {kind: us / sum(kinds.values()) for kind, us in kinds.items()}}


@contextlib.contextmanager
def clocked(owner: Any, name: str, label: str, spent: dict[str, float]) -> Iterator[None]:
    """Add the processor seconds of every call of ``owner.name`` to ``spent[label]``."""
    call = getattr(owner, name)

    def timed(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return call(*given, **named)
        finally:
            spent[label] = spent.get(label, 0.0) + time.process_time() - began

    spent[label] = 0.0
    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, call)


# ---- TRL's side; this part runs in an environment without palaestra ----


def run_trl(arguments: argparse.Namespace) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(arguments.threads)
    rows = json.loads(Path(arguments.rows).read_text())
    batch = padded(rows)
    model = load(arguments.model)
    shipped = arguments.side == "trl-shipped"

    class Fed(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return {name: value for name, value in batch.items() if name != "read_tokens"}

    class Turns(TrainerCallback):
        path = ""

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            command = sys.stdin.readline().strip()
            if not command:
                os._exit(0)
            self.path = command.partition(" ")[2]
            self.watch = Stopwatch()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if self.path:
                save_gradients(given["model"], self.path)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.taken = self.watch.read()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "grad_norm" in logs:
                record = {**self.taken, "peak_mib": peak_mib(), "loss": logs["loss"]}
                answer(record | {"norm": logs["grad_norm"], "read_tokens": batch["read_tokens"]})

    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            scratch,
            use_cpu=True,
            bf16=shipped,
            gradient_checkpointing=arguments.side != "trl",
            per_device_train_batch_size=arguments.trl_batch,
            gradient_accumulation_steps=len(rows) // arguments.trl_batch,
            num_generations=TRIES,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            max_steps=10**6,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Fed(
            model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=config,
            train_dataset=Dataset.from_dict({"prompt": ["x"] * len(rows)}),
            processing_class=AutoTokenizer.from_pretrained(arguments.tokenizer),
            callbacks=[Turns()],
        )
        answer({"ready_mib": peak_mib(), "versions": versions("torch", "transformers", "trl")})
        trainer.train()


def padded(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows as TRL makes them of a tool-calling episode: prompts padded left, completions right."""
    import torch

    starts = [row["sampled"].index(True) for row in rows]
    prompt = max(starts)
    completion = max(len(row["ids"]) - start for row, start in zip(rows, starts, strict=True))

    def fill(values: list[list[Any]], width: int, left: bool = False) -> Any:
        filler = [[0] * (width - len(v)) for v in values]
        return torch.tensor([f + v if left else v + f for v, f in zip(values, filler, strict=True)])

    pairs = list(zip(rows, starts, strict=True))
    prompts, completions = [r["ids"][:s] for r, s in pairs], [r["ids"][s:] for r, s in pairs]
    return {
        "prompt_ids": fill(prompts, prompt, left=True),
        "prompt_mask": fill([[1] * len(ids) for ids in prompts], prompt, left=True),
        "completion_ids": fill(completions, completion),
        "completion_mask": fill([[1] * len(ids) for ids in completions], completion),
        "tool_mask": fill(
            [[int(is_sampled) for is_sampled in r["sampled"][s:]] for r, s in pairs], completion
        ),
        "old_per_token_logps": fill([r["logprobs"][s:] for r, s in pairs], completion),
        "advantages": torch.tensor([max(r["advantage"], key=abs) for r in rows]),
        "num_items_in_batch": torch.tensor(sum(sum(r["sampled"]) for r in rows)),
        "read_tokens": len(rows) * (prompt + completion),
    }


# ---- the rows ----


def episode_rows(folder: str, groups: int) -> list[dict[str, Any]]:
    """Return the rows of eight tries at each of ``groups`` ALFWorld tasks, in the model's chat template."""
    from palaestra.agents.context import reencode
    from palaestra.agents.policies.hf import HFTokenizer
    from palaestra.agents.policies.scripted import ExpertPolicy
    from palaestra.agents.react import make_context, react
    from palaestra.agents.rollout import Job, RolloutSettings, rollout
    from palaestra.envs.panel import make_panel
    from palaestra.trainers.core.batch import policy_rows

    tokenizer = HFTokenizer.load(Path(folder))
    panel = make_panel("palaestra/ALFWorld-v0", groups, seed=1, options={"split": "train", "max_steps": 16})
    jobs = [Job(item, group=item.task_id, attempt=n) for item in panel.items for n in range(TRIES)]
    rows = []
    for episode in rollout(jobs, react(), ExpertPolicy(noise=0.4), RolloutSettings()):
        read = reencode(episode, make_context("append", tokenizer, 10**6, system=SYSTEM))
        rows += policy_rows(read, [1.0] * len(read.turns))
    return [{"ids": row.ids, "sampled": row.sampled} for row in rows]


def short_rows(vocabulary: int, groups: int) -> list[dict[str, Any]]:
    """Return single-turn rows: a prompt of 60-120 tokens for eight answers of 16-128."""
    import numpy as np

    generator = np.random.default_rng(2)
    rows = []
    for _ in range(groups):
        prompt = generator.integers(3, vocabulary, int(generator.integers(60, 121))).tolist()
        for length in generator.integers(16, 129, TRIES):
            ids = prompt + generator.integers(3, vocabulary, int(length)).tolist()
            rows.append({"ids": ids, "sampled": [False] * len(prompt) + [True] * int(length)})
    return rows


def complete(rows: list[dict[str, Any]], model: Any) -> None:
    """Add advantages, normalised within the group, and the log-probs of a policy a little older."""
    import numpy as np
    import torch

    generator = np.random.default_rng(3)
    for begin in range(0, len(rows), TRIES):
        rewards = generator.normal(size=TRIES)
        values = (rewards - rewards.mean()) / rewards.std()
        for row, value in zip(rows[begin : begin + TRIES], values, strict=True):
            ids = torch.tensor([row["ids"]])
            with torch.no_grad():
                logprobs = (
                    model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
                )
            old = [0.0, *(logprobs.numpy() + generator.normal(scale=0.1, size=len(logprobs))).tolist()]
            row["logprobs"] = [o if s else 0.0 for o, s in zip(old, row["sampled"], strict=True)]
            row["advantage"] = [float(value) if s else 0.0 for s in row["sampled"]]


def prepare(arguments: argparse.Namespace) -> None:
    """Write the model's folder, where it is made here, and the rows."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    name = Path(arguments.model).name
    if name in LLAMAS:
        torch.manual_seed(0)
        shape = LLAMAS[name]
        model: Any = LlamaForCausalLM(
            LlamaConfig(**shape, tie_word_embeddings=True, max_position_embeddings=2048)
        )
        model.save_pretrained(arguments.model)
    else:
        model = load(arguments.model)
    vocabulary = model.config.vocab_size
    short = arguments.case == "short"
    make = (
        short_rows(vocabulary, arguments.groups)
        if short
        else episode_rows(arguments.tokenizer, arguments.groups)
    )
    for row in make:
        row["ids"] = [number % vocabulary for number in row["ids"]]
    complete(make, model.eval())
    Path(arguments.rows).write_text(json.dumps(make))


# ---- the comparison ----


class Contestant:
    """A process that holds a model and takes one step when asked."""

    def __init__(self, side: str, python: str, options: list[str], threads: int, log: IO[str]) -> None:
        self.side = side
        settings = os.environ | {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "0"}
        self._process = subprocess.Popen(
            [python, __file__, "--side", side, "--threads", str(threads), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=settings,
        )
        self._log = log
        ready = self._read()
        self.ready_mib, self.versions = ready["ready_mib"], ready["versions"]

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command; return what it brought."""
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        status = self._process.wait()
        self._log.seek(0)
        raise SystemExit(f"{self._log.read()[-2000:]}\n{self.side} ended with {status}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def difference(ours: str, theirs: str) -> tuple[float, float]:
    """Return |ours - theirs| / |theirs| over all gradients, and the largest difference of a parameter's."""
    from safetensors import safe_open

    squares, total, largest = 0.0, 0.0, 0.0
    with safe_open(ours, "pt") as first, safe_open(theirs, "pt") as second:
        for name in first.keys():  # noqa: SIM118 - not a mapping
            one, other = first.get_tensor(name).double(), second.get_tensor(name).double()
            squares += float((one - other).square().sum())
            total += float(other.square().sum())
            largest = max(largest, float((one - other).norm() / other.norm().clamp(min=1e-30)))
    return (squares / total) ** 0.5, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trl-python", default=sys.executable, help="a Python that has trl")
    parser.add_argument("--smollm2", help="folder of SmolLM2-135M; its tokenizer encodes the episodes")
    parser.add_argument("--models", nargs="+", default=["smollm2", *LLAMAS])
    parser.add_argument("--cases", nargs="+", default=["episodes", "short"])
    parser.add_argument("--contestants", nargs="+", default=["trl"], choices=list(CONTESTANTS)[1:])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--groups", type=int, default=1, help="groups of eight tries in an update")
    parser.add_argument("--tokens-per-micro-batch", type=int, default=2048, help="ours (2048 is its default)")
    parser.add_argument(
        "--trl-batch", type=int, default=8, help="TRL's per_device_train_batch_size (8 is its)"
    )
    for hidden in ("--side", "--model", "--rows", "--tokenizer", "--case"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        arguments.threads = arguments.threads[0]
        {"prepare": prepare, "palaestra": run_palaestra}.get(arguments.side, run_trl)(arguments)
        return
    if not arguments.smollm2:
        parser.error("--smollm2 FOLDER is needed: its tokenizer encodes the episodes for every model")
    header()
    with tempfile.TemporaryDirectory() as scratch:
        for model in arguments.models:
            for case in arguments.cases:
                for threads in arguments.threads:
                    compare(arguments, model, case, threads, scratch)


def header() -> None:
    print("$ python benchmarks/trainer_speed.py " + " ".join(sys.argv[1:]))
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    print(
        "wall and processor seconds of an update: median (least-most) of the rounds after a first one, and\n"
        "how often they are ours; tokens of the rows a second, padding never counted; peak MiB of the\n"
        "process (and what it had before the first update); tokens that the model reads; the first update's\n"
        "loss, gradient norm and |gradient - ours| / |gradient|"
    )


def compare(arguments: argparse.Namespace, model: str, case: str, threads: int, scratch: str) -> None:
    """Print the tables of one model, case and number of threads."""
    folder = arguments.smollm2 if model == "smollm2" else f"{scratch}/{model}"
    rows = f"{scratch}/{model}-{case}.json"
    options = ["--model", folder, "--rows", rows, "--tokenizer", arguments.smollm2, "--case", case]
    for name in ("groups", "trl_batch", "tokens_per_micro_batch"):
        options += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    with open(f"{scratch}/log", "w+") as log:
        if not Path(rows).exists():
            subprocess.run([sys.executable, __file__, "--side", "prepare", *options], check=True, stderr=log)
        tokens = described(json.loads(Path(rows).read_text()), model, case, threads)
        sides = []
        for side in ["palaestra", *arguments.contestants]:
            python = sys.executable if side == "palaestra" else arguments.trl_python
            sides.append(Contestant(side, python, options, threads, log))
        seen: dict[str, list[dict[str, Any]]] = {contestant.side: [] for contestant in sides}
        for number in range(arguments.rounds + 1):
            for contestant in sides:
                path = "" if number else f" {scratch}/{contestant.side}"
                seen[contestant.side].append(contestant.ask(f"step{path}"))
        where = sides[0].ask("profile") if threads == 1 else None
        for contestant in sides:
            contestant.close()
    for contestant in sides:
        line(contestant, seen, scratch, tokens)
    if where:
        explain(where)


def described(rows: list[dict[str, Any]], model: str, case: str, threads: int) -> int:
    """Print what the rows are like and the table's head; return how many tokens they hold."""
    lengths = [len(row["ids"]) for row in rows]
    trained = sum(sum(row["sampled"]) for row in rows)
    prompts = [row["sampled"].index(True) for row in rows]
    print(
        f"\n{model}, {case}, {threads} thread(s): {len(rows)} rows of {min(lengths)}-{max(lengths)} tokens, "
        f"{sum(lengths)} in all, {trained / sum(lengths):.0%} trained, "
        f"prompts of {min(prompts)}-{max(prompts)}; load average {os.getloadavg()[0]:.1f}"
    )
    print(
        f"  {'':<40}{'wall s':>22}{'x':>7}{'cpu s':>9}{'x':>7}{'tokens/s':>10}{'peak MiB':>15}"
        f"{'read':>7}{'loss':>11}{'norm':>9}"
    )
    return sum(lengths)


def line(contestant: Contestant, seen: dict[str, list[dict[str, Any]]], scratch: str, tokens: int) -> None:
    """Print a contestant's row of the table."""
    first, *timed = seen[contestant.side]

    def median(side: str, name: str) -> float:
        return statistics.median(step[name] for step in seen[side][1:])

    walls = [step["wall_s"] for step in timed]
    wall, cpu = median(contestant.side, "wall_s"), median(contestant.side, "cpu_s")
    spread = f"{wall:.2f} ({min(walls):.2f}-{max(walls):.2f})"
    memory = f"{timed[-1]['peak_mib']:.0f} ({contestant.ready_mib:.0f})"
    far, _ = difference(f"{scratch}/palaestra", f"{scratch}/{contestant.side}")
    print(
        f"  {CONTESTANTS[contestant.side]:<40}{spread:>22}{wall / median('palaestra', 'wall_s'):>7.2f}"
        f"{cpu:>9.2f}{cpu / median('palaestra', 'cpu_s'):>7.2f}{tokens / wall:>10.0f}"
        f"{memory:>15}{first['read_tokens']:>7.0f}"
        f"{first['loss']:>11.6f}{first['norm']:>9.4f}  gradient off by {far:.0e}; {contestant.versions}"
    )


def explain(where: dict[str, Any]) -> None:
    """Print where the time of our update goes."""
    whole = where["phases"]["the whole update"]
    for label, seconds in where["phases"].items():
        print(f"    {label:<36}{seconds:>8.2f} cpu s{seconds / whole:>8.1%}")
    print("    " + ", ".join(f"{kind} {share:.0%}" for kind, share in where["kinds"].items()))


if __name__ == "__main__":
    main()
