"""Chat templates with the structure, and the traps, of those that well-known models have; and tokenizers.

They are written anew and short: what counts is where special tokens stand, what is stripped, escaped or
written again, and which roles exist.
"""

import functools
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "take",
            "description": 'Take a "thing".',
            "parameters": {"type": "object", "properties": {"thing": {"type": "string"}}},
        },
    }
]

# ChatML as Qwen has it: a default system message, tools in it, tool results inside a user message.
QWEN = """
{%- if tools %}{{ '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}{{ 'You are a model.' }}{% endif %}
{{- '\n\n# Tools\n<tools>' }}{% for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n</tools>\nCall one inside <tool_call></tool_call>.<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- else %}{{ '<|im_start|>system\nYou are a model.<|im_end|>\n' }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- elif message.role == 'assistant' %}{{ '<|im_start|>assistant' }}
{%- if message.content %}{{ '\n' + message.content }}{% endif %}
{%- for call in message.tool_calls %}{{ '\n<tool_call>\n{"name": "' + call.function.name }}
{{- '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}
{%- elif message.role == 'tool' %}
{%- if messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}
{%- endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

# Llama 3: a first id, contents trimmed, a system message always, tools in the first user message, results as
# JSON.
LLAMA = """
{{- bos_token }}{% set ns = namespace(first=true) %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday: ' + (date_string or '26 Jul 2024') + '\n\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% set messages = messages[1:] %}
{%- endif %}
{{- '<|eot_id|>' }}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{ '<|start_header_id|>ipython<|end_header_id|>\n\n' }}
{{- {'output': message.content} | tojson }}{{ '<|eot_id|>' }}
{%- elif message.tool_calls %}{% set call = message.tool_calls[0].function %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "' + call.name + '", "parameters": ' }}
{{- (call.arguments | tojson) + '}<|eot_id|>' }}
{%- else %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
{%- if tools and ns.first and message.role == 'user' %}{{ 'Given these functions, answer with a call.\n\n' }}
{%- for tool in tools %}{{ (tool | tojson(indent=4)) + '\n\n' }}{% endfor %}{% set ns.first = false %}
{%- endif %}
{{- (message.content | trim) + '<|eot_id|>' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

# SmolLM2: ChatML that writes any role as it comes, a default system message, and knows no tools.
SMOLLM = """
{%- for message in messages %}
{%- if loop.first and message.role != 'system' %}
{{- '<|im_start|>system\nYou are a small model.<|im_end|>\n' }}{% endif %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

# Mistral: a space before what the assistant says, the end of text after it, no request to go on; the system
# text and the tools stand with the last user message, wherever that is.
MISTRAL = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set messages = messages[1:] %}
{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for message in messages if message.role == 'user' %}{% set ns.last = message %}{% endfor %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools and message == ns.last %}{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}
{%- endif %}{{ '[INST] ' }}{% if system and message == ns.last %}{{ system + '\n\n' }}{% endif %}
{{- message.content + '[/INST]' }}
{%- elif message.role == 'tool' %}
{%- if message.tool_call_id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}
{{- '[TOOL_RESULTS] {"content": ' + (message.content | tojson) + '}[/TOOL_RESULTS]' }}
{%- elif message.tool_calls %}{% set call = message.tool_calls[0].function %}
{{- '[TOOL_CALLS] [{"name": "' + call.name + '", "arguments": ' + (call.arguments | tojson) + '}]' }}
{{- eos_token }}
{%- else %}{{ ' ' + message.content + eos_token }}{% endif %}{% endfor %}"""

# Gemma: no system message, another word for the assistant, roles that must alternate.
GEMMA = """
{{- bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}
{%- for message in messages %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}
{%- endif %}
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
{{- (message.content | trim) + '<end_of_turn>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""

# Phi 3: special tokens that swallow the white space after them.
PHI = """
{%- for message in messages %}{{ '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"""

# Qwen 3: a later user message makes the thoughts before it disappear; tool results do not.
THINKING = QWEN.replace(
    "{%- for message in messages %}\n{%- if message.role == 'user' or",
    """{%- set ns = namespace(query=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.query = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' and loop.index0 < ns.query and not message.tool_calls %}
{{- '<|im_start|>assistant\n' + message.content.split('</think>')[-1].lstrip('\n') + '<|im_end|>\n' }}
{%- elif message.role == 'user' or""",
)


@dataclass(frozen=True)
class Kind:
    """A template with its special tokens; ``others`` are added tokens that are not called special."""

    template: str
    specials: tuple[str, ...]
    eos: str
    bos: str | None = None
    others: tuple[str, ...] = ()
    swallowing: bool = False


_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
_HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>")
_INST = ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]")
_INST_TOOLS = ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]")
KINDS = {
    "qwen": Kind(QWEN, _CHATML, "<|im_end|>", None, _TAGS),
    "llama": Kind(LLAMA, _HEADERS, "<|eot_id|>", "<|begin_of_text|>"),
    "smollm": Kind(SMOLLM, _CHATML, "<|im_end|>", "<|im_start|>"),
    "mistral": Kind(MISTRAL, _INST + _INST_TOOLS, "</s>", "<s>"),
    "gemma": Kind(GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), "<eos>", "<bos>", ("\n\n",)),
    "phi": Kind(
        PHI,
        ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|endoftext|>"),
        "<|endoftext|>",
        swallowing=True,
    ),
    "thinking": Kind(THINKING, _CHATML, "<|im_end|>", None, _TAGS),
}

_WORDS = (
    "You see a mug on the table.\n\nThe mug is red. take look You pick up the mug. assistant user system "
    'tool Today: functions call content output {"name": "arguments"} <|im_start|> <|im_end|> </s> [INST] '
)
# Letters, digits one by one, marks together with the line ends after them: how recent models split text.
_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def make_tokenizer(kind, template=None, *, spells_controls=False):
    """Return a byte-level BPE tokenizer of transformers, trained on a few words.

    With ``spells_controls`` its vocabulary is trained till it spells special tokens, as words, by itself.
    """
    kind = KINDS[kind] if isinstance(kind, str) else kind
    encoder = Tokenizer.from_str(trained(spells_controls, kind.specials + kind.others))
    swallow = {"rstrip": True} if kind.swallowing else {}
    encoder.add_special_tokens([AddedToken(text, special=True, **swallow) for text in kind.specials])
    encoder.add_tokens([AddedToken(text, special=False, normalized=False) for text in kind.others])
    return PreTrainedTokenizerFast(
        tokenizer_object=encoder,
        chat_template=template or kind.template,
        bos_token=kind.bos,
        eos_token=kind.eos,
        pad_token=kind.specials[0],
    )


@functools.cache
def trained(spells_controls, words):
    encoder = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(r"\s+|\S+" if spells_controls else _SPLIT), behavior="isolated")
    encoder.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    encoder.decoder = decoders.ByteLevel()
    texts = [" ".join(words)] * 9 if spells_controls else [_WORDS] * 3
    trainer = trainers.BpeTrainer(
        vocab_size=600 if spells_controls else 420,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    encoder.train_from_iterator(texts, trainer)
    return encoder.to_str()
