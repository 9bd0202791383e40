"""Frames of chat templates in the manner of the usual families, and what a template may not take.

Templates are rendered in this process where only their text matters, by the code that the child runs.
"""

import json
from typing import Any

import pytest
from checkpoint_factory import CHAT_TEMPLATE, make_tokenizer
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from provenance.errors import InputError
from provenance.models import chat_template as module
from provenance.models import template_child
from provenance.models.chat_template import Frame, Variables, chat_frame

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
FAMILIES: dict[str, tuple[str, str, str, str, dict[str, object]]] = {
    "qwen3": (
        CHATML + "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
        "<|im_start|>user\n", "!<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>",
        {"enable_thinking": False},
    ),
    "deepseek-r1": (
        ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}"
        "{% else %}<|Assistant|>{{ m.content }}<|end_of_sentence|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"),
        "<bos><|User|>", "!<|Assistant|><think>\n", "<|end_of_sentence|>", {},
    ),
    "gemma": (
        ("{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"),
        "<bos><start_of_turn>user\n", "!<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>", {},
    ),
    "llama-3": (
        ("{% if not date_string is defined %}{% if strftime_now is defined %}"
        "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{% endif %}"
            "<|head|>system\nToday Date: {{ date_string }}<|eot_id|>{% for m in messages %}"
        "<|head|>{{ m.role }}\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|head|>assistant\n{% endif %}"),
        "<|head|>system\nToday Date: 01 Dec 2025<|eot_id|><|head|>user\n", "!<|eot_id|><|head|>assistant\n",
        "<|eot_id|>", {"strftime_now": "2025-12-01"},
    ),
    "mistral": (
        ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"),
        "<bos>[INST] ", "! [/INST]", "<eos>", {},
    ),
    "glm": (  # nothing closes a turn but the beginning of the next
        ("{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"),
        "<|user|>\n", "!<|assistant|>\n", "<|user|>", {},
    ),
    "gpt-oss": (  # an answer that is not the last one is closed otherwise
        ("{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
        "<|message|>{{ m.content }}{{ '<|return|>' if m.role == 'assistant' and loop.last else '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}"),
        "<|start|>user<|message|>", "!<|end|><|start|>assistant", "<|return|>", {},
    ),
    "no answers": (
        ("{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('users only') }}{% endif %}"
        "{{ m.content }}{% endfor %}"), "", "!", "", {},
    ),
}  # fmt: skip
MARKS = [
    *(
        f"<|{name}|>"
        for name in ("im_start", "im_end", "User", "Assistant", "end_of_sentence", "head", "eot_id", "user")
    ),
    *(f"<|{name}|>" for name in ("assistant", "start", "channel", "message", "end", "return")),
    *("<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]"),
]


def tokenizer_with(template: Any) -> PreTrainedTokenizerBase:
    """A tokenizer with a chat template, and the marks of all families as special tokens."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in MARKS])
    tokenizer.chat_template = template
    return tokenizer


def framed(template: Any, *variables: tuple[str, object]) -> Frame:
    """The frame around a question with an exclamation mark after it."""
    return chat_frame(tokenizer_with(template), "", "!", variables)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render in this process, which saves a second each time."""

    def render(request: dict[str, Any]) -> list[dict[str, str]]:
        with monkeypatch.context() as patch:
            patch.setattr(chat_template_utils, "datetime", template_child._fixed(request["date"]))
            limited = {**json.loads(json.dumps(request)), "characters": module.LONGEST_FRAME}
            return [
                template_child._reply(chat_template_utils.render_jinja_template, limited, c) for c in request["chats"]
            ]

    monkeypatch.setattr(module, "_in_child", render)
    module._rendered.cache_clear()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_frame_is_what_transformers_puts_around_a_question(family: str) -> None:
    template, prefix, suffix, closing, variables = FAMILIES[family]
    tokenizer, frame = tokenizer_with(template), framed(template)
    assert (frame.prefix, frame.suffix, dict(frame.variables)) == (prefix, suffix, variables)
    assert tokenizer.convert_ids_to_tokens(list(frame.closing_ids(tokenizer))) == ([closing] if closing else [])
    if "strftime_now" not in variables:
        asked = [{"role": "user", "content": "Who?!"}]
        text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True, **variables)
        assert text == f"{frame.prefix}Who?{frame.suffix}"


@pytest.mark.usefixtures("here")
def test_variables_of_the_user_win_over_thinking_off_and_over_the_day() -> None:
    thinking = framed(FAMILIES["qwen3"][0], ("enable_thinking", True))
    assert thinking.suffix == "!<|im_end|>\n<|im_start|>assistant\n"
    for name, value, told in (("strftime_now", "2026-02-03", "03 Feb 2026"), ("date_string", "May", "May")):
        frame = framed(FAMILIES["llama-3"][0], (name, value))
        assert f"Today Date: {told}<" in frame.prefix
        assert (name, value) in frame.variables


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("template", "variables", "wanted", "found"),
    [
        ("{{ raise_exception('no system') }}", (), "rendered", "no system"),
        ("{% if %}", (), "rendered", "Syntax"),
        ("{{ tools.first.name }}{{ messages[0].content }}", (), "rendered", "Undefined"),
        ("{{ nothing.at.all }}", (), "rendered", "'nothing' is undefined"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", (), "rendered", "Recursion"),
        ("{{ ''.__class__.__mro__ }}", (), "rendered", "Security"),
        ("{{ 1 / 0 }}", (), "rendered", "ZeroDivision"),
        ("{{ range(10 ** 12) | list }}", (), "rendered", "Range"),
        ("{{ 'x' * 300000 }}{{ messages[0].content }}", (), "rendered", "300011 characters"),
        ("{{ '\\ud800' }}{{ messages[0].content }}", (), "rendered", "Unicode"),
        ("{# " + "x" * 1_000_000 + " #}", (), "rendered", "1000006 characters"),
        ("hello", (), "once, unchanged", "0 copies"),
        ("{{ messages[0].content }}{{ messages[0].content }}", (), "once, unchanged", "2 copies"),
        (None, (), "chat template", "none"),
        ({"rag": CHAT_TEMPLATE, "tool_use": CHAT_TEMPLATE}, (), "`default`", "rag, tool_use"),
        (CHAT_TEMPLATE, (("enable_thinking", True),), "--template-arg", "does not mention"),
        (CHAT_TEMPLATE, (("messages", "x"),), "--template-arg", "gets already"),
        (FAMILIES["llama-3"][0], (("strftime_now", "today"),), "a day", "today"),
    ],
)
def test_a_template_that_makes_no_prompt_is_one_clear_error(
    template: Any, variables: Variables, wanted: str, found: str
) -> None:
    with pytest.raises(InputError) as caught:
        framed(template, *variables)
    assert wanted in caught.value.wanted
    assert found in caught.value.found


@pytest.mark.costly
@pytest.mark.parametrize(
    ("template", "seconds", "found"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", 0.5, "not ended"),
        ("{{ 3 ** (2 ** 40) }}", 0.5, "not ended"),  # one operation, which nothing in the process could interrupt
        ("{{ 'a' * 10 ** 10 }}", 5, "MiB"),
    ],
)
def test_a_template_that_never_ends_or_eats_memory_is_ended(
    template: str, seconds: float, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEMPLATE_SECONDS", seconds)
    with pytest.raises(InputError, match="rendered") as caught:
        framed(template)
    assert found in caught.value.found


def test_a_process_of_its_own_renders_a_frame_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the day that it is told; a second time there is no process any more."""
    template = "{{ strftime_now('%Y-%m-%d') }} {{ messages[0].content }}"
    assert framed(template).prefix == "2025-12-01 "
    monkeypatch.setattr(module, "_in_child", lambda _: pytest.fail("rendered again"))
    assert framed(template).suffix == "!"
