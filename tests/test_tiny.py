"""The tiny policy: kept caches change nothing but the time, whoever else is in the batch."""

from __future__ import annotations

import asyncio
import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import (  # noqa: E402
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from palaestra.agents.context import AppendContext, WindowContext  # noqa: E402
from palaestra.agents.episode import sequences  # noqa: E402
from palaestra.agents.policies import load_policy  # noqa: E402
from palaestra.agents.policies.core import Request, Sampling  # noqa: E402
from palaestra.agents.policies.slots import Slots  # noqa: E402
from palaestra.agents.policies.tiny import TinyPolicy, TinyTokenizer, train_tokenizer  # noqa: E402
from palaestra.agents.react import react  # noqa: E402
from palaestra.agents.rollout import Job, RolloutSettings, rollout  # noqa: E402
from palaestra.envs.panel import make_panel  # noqa: E402
from palaestra.errors import (  # noqa: E402
    CheckpointError,
    DivergenceError,
    OptionError,
    StorageError,
)

TEXTS = [
    "You are in the middle of a room. Looking quickly around you, you see a cabinet 1, a drawer 2.\n>",
    " go to cabinet 1",
    "On the cabinet 1, you see a mug 2, and a pan 1.\n>",
    " take mug 2 from cabinet 1",
    "Nothing happens.\n>",
]
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def untouched():
    policy = TinyPolicy.new(TEXTS, width=32, layers=2, heads=2, vocab_size=300, context_tokens=512)
    sharpen(policy.model)
    return policy


@pytest.fixture
def policy(untouched):
    return TinyPolicy(copy.deepcopy(untouched.model), untouched.tokenizer)


def sharpen(model):
    """Make an untrained model opinionated, so that a wrong mask or position shows in what it says.

    Not more than that, however large its weights began: extreme ones amplify the rounding of float32.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= 0.16 / parameter.std()


def ask(policy, requests):
    return asyncio.run(policy.generate(requests))


def request(ids, session="s", seed=0, temperature=1.0, max_tokens=6):
    return Request(ids, session, np.random.default_rng(seed), Sampling(temperature, max_tokens))


def logprobs(model, prompt, completion, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *completion]])).logits[0].double() / temperature
    rows = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
    return [row[number].item() for row, number in zip(rows, completion, strict=True)]


class Conversation:
    """A session whose history grows by random texts; its prompts follow from its own generator alone."""

    def __init__(self, number, context):
        self.generator = np.random.default_rng(number)
        self.texts = np.random.default_rng(number + 1000)
        self.session, self.context = f"session {number}", context
        self.log, self.prompts = [], []
        context.begin(self.text())

    def text(self):
        return " ".join(
            TEXTS[int(i)] for i in self.texts.integers(len(TEXTS), size=self.texts.integers(1, 5))
        )

    def request(self):
        ids, _ = self.context.prompt(6)
        return Request(ids, self.session, self.generator, Sampling(1.0, 6))

    def take(self, request, completion):
        self.log.append((list(request.ids), completion.ids, completion.logprobs, completion.finish_reason))
        self.context.record(completion)
        self.context.observe(self.text())


def converse(policy, *, keep, batch=None, window=False, turns=6, sessions=9):
    """Play conversations that begin and end at different times; return what each saw and said."""
    make = (
        (lambda: WindowContext(policy.tokenizer, 2, 512))
        if window
        else (lambda: AppendContext(policy.tokenizer, 512))
    )
    conversations = [Conversation(number, make()) for number in range(sessions)]
    for moment in range(turns + sessions):
        live = [c for n, c in enumerate(conversations) if n <= moment < n + turns - n % 3]
        # Not everyone asks each time, and not in the order of the rows.
        live = [c for n, c in enumerate(live) if (n + moment) % 4 or len(live) == 1][::-1]
        for begin in range(0, len(live), batch or len(live) or 1):
            asking = live[begin : begin + (batch or len(live))]
            requests = [conversation.request() for conversation in asking]
            if not keep:
                policy.drop_caches()
            for conversation, asked, answer in zip(asking, requests, ask(policy, requests), strict=True):
                conversation.take(asked, answer)
        for n, conversation in enumerate(conversations):
            if moment == n + turns - n % 3:
                policy.forget(conversation.session)
    return [conversation.log for conversation in conversations]


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert [(prompt, ids, reason) for prompt, ids, _, reason in one] == [
            (prompt, ids, reason) for prompt, ids, _, reason in other
        ]
        for (_, _, a, _), (_, _, b, _) in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=TOLERANCE)


# ---- generation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [False, True])
def test_kept_caches_change_nothing(policy, window):
    kept = converse(policy, keep=True, window=window)
    assert sum(len(log) for log in kept) > 20
    assert {reason for log in kept for *_, reason in log} == {"length", "stop"} or window
    assert_same(kept, converse(policy, keep=False, window=window))
    for log in kept:
        for prompt, ids, behaviour, _ in log:
            np.testing.assert_allclose(behaviour, logprobs(policy.model, prompt, ids), atol=TOLERANCE)


def test_the_batch_changes_nothing(policy):
    assert_same(converse(policy, keep=True), converse(policy, keep=True, batch=1))
    assert_same(converse(policy, keep=True), converse(policy, keep=True, batch=2))


def test_batches_of_1_and_64_sample_the_same(policy):
    prompts = [policy.tokenizer.encode(TEXTS[i % 5] * (1 + i % 3)) for i in range(64)]
    together = ask(policy, [request(ids, f"a{i}", i) for i, ids in enumerate(prompts)])
    alone = [ask(policy, [request(ids, f"b{i}", i)])[0] for i, ids in enumerate(prompts)]
    assert [c.ids for c in together] == [c.ids for c in alone]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=TOLERANCE)


def test_more_requests_than_a_batch_holds(policy):
    prompts = [policy.tokenizer.encode(TEXTS[i % 5]) for i in range(7)]
    whole = ask(policy, [request(ids, f"a{i}", i) for i, ids in enumerate(prompts)])
    small = TinyPolicy(policy.model, policy.tokenizer, max_batch=3)
    parts = ask(small, [request(ids, f"a{i}", i) for i, ids in enumerate(prompts)])
    assert [c.ids for c in whole] == [c.ids for c in parts]


def test_greedy_equals_generate_of_transformers(policy):
    for text in TEXTS:
        ids = [policy.tokenizer.bos_id, *policy.tokenizer.encode(text)]
        [ours] = ask(policy, [request(ids, temperature=0, max_tokens=20)])
        theirs = policy.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=20, do_sample=False
        )
        assert ours.ids == theirs[0, len(ids) :].tolist()
        np.testing.assert_allclose(ours.logprobs, logprobs(policy.model, ids, ours.ids), atol=TOLERANCE)


def fed_tokens(policy, requests, monkeypatch):
    """Return how many ids the model was fed for ``requests``, padding included."""
    fed = []
    forward = policy.model.forward

    def counted(input_ids, **kwargs):
        assert not torch.is_grad_enabled()
        fed.append(input_ids.numel())
        return forward(input_ids=input_ids, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(policy.model, "forward", counted)
        completions = ask(policy, requests)
    return sum(fed), completions


def test_a_turn_costs_its_new_tokens_only(policy, monkeypatch):
    ids = policy.tokenizer.encode(TEXTS[0])
    fed, [first] = fed_tokens(policy, [request(ids)], monkeypatch)
    assert fed == len(ids) + len(first.ids) - 1
    longer = [*ids, *first.ids, 65, 66, 67]
    fed, [second] = fed_tokens(policy, [request(longer)], monkeypatch)
    assert fed == 1 + 3 + len(second.ids) - 1, "the last sampled id, which was never fed, and the new ones"
    policy.forget("s")
    fed, [third] = fed_tokens(policy, [request(longer)], monkeypatch)
    assert fed == len(longer) + len(third.ids) - 1


def test_a_prompt_that_departs_from_the_kept_ids_is_cut_back_to_what_is_common(policy, monkeypatch):
    ids = policy.tokenizer.encode(TEXTS[0])
    ask(policy, [request(ids)])
    other = [*ids[:10], 65, 66]
    fed, [completion] = fed_tokens(policy, [request(other)], monkeypatch)
    assert fed == 2 + len(completion.ids) - 1
    np.testing.assert_allclose(
        completion.logprobs, logprobs(policy.model, other, completion.ids), atol=TOLERANCE
    )
    fed, [shorter] = fed_tokens(policy, [request(ids[:5])], monkeypatch)
    assert fed == 1 + len(shorter.ids) - 1


def test_finished_sessions_cost_nothing_and_their_rows_are_closed_up(policy, monkeypatch):
    prompts = {f"s{i}": policy.tokenizer.encode(TEXTS[0])[: 5 + i] for i in range(8)}
    ask(policy, [request(ids, name, max_tokens=1) for name, ids in prompts.items()])
    for i in range(6):
        policy.forget(f"s{i}")
    left = [request(prompts[name], name, seed, max_tokens=1) for seed, name in enumerate(("s6", "s7"))]
    fed, completions = fed_tokens(policy, left, monkeypatch)
    assert fed == 2
    for asked, completion in zip(left, completions, strict=True):
        expected = logprobs(policy.model, asked.ids, completion.ids)
        np.testing.assert_allclose(completion.logprobs, expected, atol=TOLERANCE)


def test_rows_stay_adjacent_as_sessions_come_and_go():
    slots = Slots(10)
    assert slots.rows(["a", "b", "c", "d"]) == [0, 1, 2, 3]
    slots.forget("b")
    assert slots.rows(["c", "e"]) == [2, 1], "a new session takes the free row"
    slots.forget("a")
    slots.forget("e")
    assert sorted(slots.rows(["c", "d"])) == [0, 1], "without one, the last sessions move down"
    slots.clear()
    assert slots.rows(["x"]) == [0]


def test_the_longest_unused_session_is_dropped_when_there_are_too_many(policy, monkeypatch):
    monkeypatch.setattr("palaestra.agents.policies.engine.MAX_SESSIONS", 2)
    policy = TinyPolicy(policy.model, policy.tokenizer)
    ids = policy.tokenizer.encode(TEXTS[0])
    for name in "abc":
        ask(policy, [request(ids, name, max_tokens=1)])
    assert fed_tokens(policy, [request(ids, "b", max_tokens=1)], monkeypatch)[0] == 1
    assert fed_tokens(policy, [request(ids, "a", max_tokens=1)], monkeypatch)[0] == len(ids)


def test_new_weights_are_used_after_drop_caches(policy):
    ids = policy.tokenizer.encode(TEXTS[0])
    ask(policy, [request(ids)])
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    policy.drop_caches()
    longer = [*ids, 65, 66]
    [completion] = ask(policy, [request(longer)])
    expected = logprobs(policy.model, longer, completion.ids)
    np.testing.assert_allclose(completion.logprobs, expected, atol=TOLERANCE)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_logprobs_are_those_of_the_distribution_sampled_from(policy, temperature):
    ids = policy.tokenizer.encode(TEXTS[0])
    [completion] = ask(policy, [request(ids, temperature=temperature)])
    expected = logprobs(policy.model, ids, completion.ids, temperature)
    np.testing.assert_allclose(completion.logprobs, expected, atol=TOLERANCE)


def test_samples_follow_the_distribution(policy):
    ids = policy.tokenizer.encode(TEXTS[1])
    requests = [request(ids, f"s{i}", i, temperature=1.3, max_tokens=1) for i in range(4000)]
    counts = np.bincount([c.ids[0] for c in ask(policy, requests)], minlength=policy.tokenizer.vocab_size)
    with torch.no_grad():
        logits = policy.model(torch.tensor([ids])).logits[0, -1].double() / 1.3
    expected = torch.softmax(logits, -1).numpy() * 4000
    # Each count is within 5 standard deviations of its expectation, and rare ids do occur somewhere.
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected + 1)).all()
    assert (counts > 0).sum() > 3


def test_each_token_takes_one_uniform_and_greedy_takes_none(policy):
    ids = policy.tokenizer.encode(TEXTS[0])
    sampled, greedy = request(ids, "a", 3), request(ids, "b", 3, temperature=0)
    first, second = ask(policy, [sampled, greedy])
    assert first.ids != second.ids
    reference = np.random.default_rng(3)
    assert greedy.generator.random() == np.random.default_rng(3).random()
    reference.random(len(first.ids))
    assert sampled.generator.random() == reference.random()


def test_a_completion_ends_with_the_stop_id_or_says_length(policy):
    stop = policy.tokenizer.stop_id
    with torch.no_grad():
        policy.model.lm_head.weight[stop] = 0
        policy.model.lm_head.weight[stop] = policy.model.lm_head.weight.mean(0)
    reasons = set()
    requests = [request([1, 2, 3], f"s{n}", n, temperature=3.0, max_tokens=40) for n in range(60)]
    for completion in ask(policy, requests):
        reasons.add(completion.finish_reason)
        ended = completion.ids[-1] == stop
        assert ended == (completion.finish_reason == "stop")
        assert stop not in completion.ids[:-1]
        assert ended or len(completion.ids) == 40
    assert reasons == {"stop", "length"}


def test_the_training_mode_comes_back_and_nothing_has_a_gradient(policy):
    policy.model.train()
    ask(policy, [request([1, 2, 3])])
    assert policy.model.training
    policy.model.eval()
    ask(policy, [request([1, 2, 3])])
    assert not policy.model.training
    loss = policy.model(torch.tensor([[1, 2, 3]])).logits.sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in policy.model.parameters())


@pytest.mark.parametrize(("length", "max_tokens"), [(0, 1), (510, 3), (600, 1)])
def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_computed(policy, length, max_tokens):
    with pytest.raises(OptionError, match="takes 1 to 512 together"):
        ask(policy, [request([1] * length, max_tokens=max_tokens)])
    [completion] = ask(policy, [request([1] * 508, max_tokens=4)])
    assert completion.ids


def test_one_session_cannot_be_asked_twice_at_once(policy):
    with pytest.raises(OptionError):
        ask(policy, [request([1]), request([2])])


def test_numbers_that_are_not_finite_are_an_error_and_leave_no_trace(policy):
    ids = policy.tokenizer.encode(TEXTS[0])
    [before] = ask(policy, [request(ids)])
    weights = copy.deepcopy(policy.model.state_dict())
    with torch.no_grad():
        policy.model.model.layers[0].self_attn.v_proj.weight.fill_(float("nan"))
    policy.drop_caches()
    with pytest.raises(DivergenceError):
        ask(policy, [request(ids)])
    policy.model.load_state_dict(weights)
    # The row of "s" was full of such numbers; the span of "t" makes them part of what is read, if masked.
    short, long = request(ids[:4], "s"), request(ids, "t")
    for asked, completion in zip((short, long), ask(policy, [short, long]), strict=True):
        expected = logprobs(policy.model, asked.ids, completion.ids)
        np.testing.assert_allclose(completion.logprobs, expected, atol=TOLERANCE)
    [after] = ask(policy, [request(ids)])
    assert after.ids == before.ids
    np.testing.assert_allclose(after.logprobs, before.logprobs, atol=TOLERANCE)


# ---- models --------------------------------------------------------------------------------------------


def grouped_queries(vocab):
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        )
    )


def absolute_positions(vocab):
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_positions=512, n_embd=32, n_layer=2, n_head=2))


def eager_attention(vocab):
    model = grouped_queries(vocab)
    model.set_attn_implementation("eager")
    return model


@pytest.mark.parametrize("make", [grouped_queries, absolute_positions, eager_attention])
def test_other_models_with_full_attention(untouched, make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(untouched.tokenizer.vocab_size).eval()
    sharpen(model)
    policy = TinyPolicy(model, untouched.tokenizer)
    kept = converse(policy, keep=True, turns=4, sessions=4)
    assert_same(kept, converse(policy, keep=False, turns=4, sessions=4))
    for prompt, ids, behaviour, _ in kept[0]:
        np.testing.assert_allclose(behaviour, logprobs(model, prompt, ids), atol=TOLERANCE)


def test_models_with_other_layers_are_refused(untouched):
    config = MistralConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=16,
    )  # fmt: skip
    with pytest.raises(OptionError, match="full attention"):
        TinyPolicy(MistralForCausalLM(config), untouched.tokenizer)


def test_new_is_a_function_of_its_arguments_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = TinyPolicy.new(TEXTS, width=16, layers=1, heads=2, vocab_size=270, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    same = TinyPolicy.new(TEXTS, width=16, layers=1, heads=2, vocab_size=270, seed=1)
    other = TinyPolicy.new(TEXTS, width=16, layers=1, heads=2, vocab_size=270, seed=2)
    weights = [policy.model.lm_head.weight for policy in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    tied = TinyPolicy.new(TEXTS, width=16, layers=1, heads=2, vocab_size=270, tied=True).model
    assert tied.lm_head.weight is tied.model.embed_tokens.weight


@pytest.mark.parametrize("sizes", [{"width": 30, "heads": 4}, {"layers": 0}, {"vocab_size": 258}])
def test_sizes_that_do_not_fit(sizes):
    with pytest.raises(OptionError):
        TinyPolicy.new(TEXTS, **sizes)


# ---- on disk -------------------------------------------------------------------------------------------


def test_save_and_load(policy, tmp_path):
    ids = policy.tokenizer.encode(TEXTS[0])
    [before] = ask(policy, [request(ids)])
    policy.save(tmp_path / "policy")
    policy.save(tmp_path / "policy")
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]
    loaded = load_policy(f"tiny:{tmp_path / 'policy'}")
    assert isinstance(loaded, TinyPolicy)
    [after] = ask(loaded, [request(ids)])
    assert after.ids == before.ids
    np.testing.assert_allclose(after.logprobs, before.logprobs, atol=TOLERANCE)
    assert loaded.context_tokens == 512
    assert loaded.tokenizer.encode(TEXTS[0]) == ids


@pytest.mark.parametrize("name", ["policy.json", "tokenizer.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_folder_is_a_checkpoint_error(policy, tmp_path, name, damage):
    policy.save(tmp_path / "policy")
    path = tmp_path / "policy" / name
    data = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError):
        TinyPolicy.load(tmp_path / "policy")


def test_weights_of_another_shape_are_a_checkpoint_error(policy, tmp_path):
    policy.save(tmp_path / "policy")
    other = TinyPolicy.new(TEXTS, width=16, layers=2, heads=2, vocab_size=300)
    other.save(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "policy" / "model.safetensors")
    with pytest.raises(CheckpointError):
        TinyPolicy.load(tmp_path / "policy")


def test_a_place_that_cannot_be_written_is_a_storage_error(policy, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        policy.save(tmp_path / "file" / "policy")


# ---- tokenizer -----------------------------------------------------------------------------------------


def test_the_tokenizer_is_a_function_of_its_texts():
    one, two = train_tokenizer(TEXTS * 3, 400), train_tokenizer(TEXTS * 3, 400)
    assert one.encoder.to_str() == two.encoder.to_str()
    assert one.vocab_size <= 400


@pytest.mark.parametrize(
    "text", ["", "cabinet 12", "  two  spaces\n\n", "żółć 漢字 🙂‍↔️", "\x00\x7f\r\n", "é" * 50]
)
def test_any_text_survives(untouched, text):
    ids = untouched.tokenizer.encode(text)
    assert untouched.tokenizer.decode(ids) == text
    assert max(ids, default=0) < untouched.tokenizer.bos_id


def test_a_lone_surrogate_is_replaced(untouched):
    assert untouched.tokenizer.decode(untouched.tokenizer.encode("a\ud800b")) == "a?b"


@pytest.mark.parametrize("text", ["<stop>", "<bos>", "<pad>", "</s>", "<|endoftext|>", "<|im_end|>"])
def test_no_text_becomes_a_special_even_when_trained_on(text):
    tokenizer = train_tokenizer([text] * 50, 300)
    ids = tokenizer.encode(f"{text} go {text}")
    assert {tokenizer.bos_id, tokenizer.stop_id, tokenizer.pad_id}.isdisjoint(ids)
    assert (
        tokenizer.decode([tokenizer.bos_id, *ids, tokenizer.stop_id, tokenizer.pad_id]) == f"{text} go {text}"
    )


def test_tokenizer_save_and_load(untouched, tmp_path):
    untouched.tokenizer.save(tmp_path)
    loaded = TinyTokenizer.load(tmp_path)
    assert loaded.encode(TEXTS[0]) == untouched.tokenizer.encode(TEXTS[0])
    assert (loaded.bos_id, loaded.stop_id, loaded.pad_id) == (
        untouched.tokenizer.bos_id,
        untouched.tokenizer.stop_id,
        untouched.tokenizer.pad_id,
    )
    with pytest.raises(CheckpointError):
        TinyTokenizer.load(tmp_path / "nowhere")


# ---- in rollouts ---------------------------------------------------------------------------------------


def test_rollouts_agree_with_the_learners_view_and_do_not_depend_on_concurrency(policy):
    panel = make_panel("palaestra/GuessNumber-v0", 5, options={"max_steps": 4})
    jobs = [Job(item, attempt=attempt) for item in panel.items for attempt in (0, 1)]
    agent = react(sampling=Sampling(1.0, 4))
    many = rollout(jobs, agent, policy, RolloutSettings(concurrency=64))
    one = rollout(jobs, agent, policy, RolloutSettings(concurrency=1))
    for a, b in zip(many, one, strict=True):
        assert [(t.prompt_ids, t.completion_ids, t.action) for t in a.turns] == [
            (t.prompt_ids, t.completion_ids, t.action) for t in b.turns
        ]
        [row] = sequences(a)
        sampled = [n for n, mask in enumerate(row.mask) if mask]
        with torch.no_grad():
            logits = policy.model(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
        expected = [logits[n - 1, row.ids[n]].item() for n in sampled]
        np.testing.assert_allclose([row.logprobs[n] for n in sampled], expected, atol=TOLERANCE)
    assert many[0].turns != many[1].turns


def test_an_episode_that_outgrows_the_model_is_truncated(untouched):
    model = copy.deepcopy(untouched.model)
    model.config.max_position_embeddings = 60
    panel = make_panel("palaestra/GuessNumber-v0", 2, options={"max_steps": 12})
    agent = react(sampling=Sampling(1.0, 10))
    episodes = rollout([Job(item) for item in panel.items], agent, TinyPolicy(model, untouched.tokenizer))
    for episode in episodes:
        assert (episode.outcome, episode.failed, episode.tags) == ("truncated", False, {"context_full": True})
        assert len(episode.turns) >= 1
