"""Whatever is done to its small files, a checkpoint works or is refused by an error of ours, soon, in little memory."""

from collections import Counter
from pathlib import Path

import pytest
from attack import DANGEROUS, Outcome, attacked, attacked_in_child
from damages import MODEL, TOKENIZER
from transformers import AutoConfig, AutoTokenizer

from provenance.errors import ProvenanceError

MOST_SECONDS = 2.0  # of the processor; the slowest takes a third of one
MOST_BYTES = 200 << 20
HELD = {
    "deep nesting": 3,
    "growth": 3,
    "huge number": 13,
    "missing key": 6,
    "missing part": 7,
    "no JSON": 25,
    "number beyond 64 bits": 3,
    "number of a token": 10,
    "positions": 9,
    "regular expression": 7,
    "unknown part": 5,
    "unknown version": 2,
    "wrong type": 89,
    "zero or negative": 17,
}
"""What was tried, by kind; all of it held."""
RAISED_BY_LIBRARIES = {
    "PanicException", "KeyError", "TypeError", "AttributeError", "ZeroDivisionError", "AssertionError", "IndexError",
    "StrictDataclassFieldValidationError", "RecursionError", "Exception", "InvalidVersion", "RuntimeError",
}  # fmt: skip
"""Among what transformers, tokenizers and torch raise over these files; some of it no list of exceptions would name."""


@pytest.fixture(scope="module")
def outcomes(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """How all damages ended; the dangerous ones in a process with limits."""
    place = tmp_path_factory.mktemp("damaged")
    safe = [damage for damage in (*TOKENIZER, *MODEL) if damage.kind not in DANGEROUS]
    dangerous = [damage for damage in (*TOKENIZER, *MODEL) if damage.kind in DANGEROUS]
    return [*attacked_in_child(tiny_llama, dangerous, place), *attacked(tiny_llama, safe, place)]


def test_the_table_has_every_damage_once() -> None:
    names = Counter((damage.file, damage.kind, damage.name) for damage in (*TOKENIZER, *MODEL))
    assert [name for name, count in names.items() if count > 1] == []
    assert len(TOKENIZER) >= 60
    assert len(MODEL) >= 60


def test_a_damaged_checkpoint_works_or_is_refused_by_an_error_of_ours(outcomes: list[Outcome]) -> None:
    assert [(each.file, each.name, each.said) for each in outcomes if not each.is_ours] == []
    assert dict(Counter(each.kind for each in outcomes if each.is_ours)) == HELD


def test_a_damaged_checkpoint_takes_no_time_and_no_memory(outcomes: list[Outcome]) -> None:
    """A label map of 10^9 entries took a minute and all memory."""
    assert [(each.file, each.name, each.seconds) for each in outcomes if each.seconds > MOST_SECONDS] == []
    assert [(each.file, each.name, each.grown_bytes) for each in outcomes if each.grown_bytes > MOST_BYTES] == []


def test_the_message_of_a_library_is_kept(outcomes: list[Outcome]) -> None:
    """Of all kinds of exceptions, a panic of Rust among them, which is no Exception; and no folder of ours is named."""
    said = " ".join(each.said for each in outcomes)
    assert [name for name in sorted(RAISED_BY_LIBRARIES) if f"{name}: " not in said] == []
    assert "Unknown tokenizer version '2.0'" in said
    assert "/provenance-" not in said
    late = next(each for each in outcomes if each.name == "never ending over b")  # a trial cannot try every text
    assert "that can read 'What is Paris? bbb" in late.said


def test_harmless_damages_are_not_refused(outcomes: list[Outcome]) -> None:
    """The boundary does not refuse whatever is unusual."""
    works = {(each.file, each.name) for each in outcomes if each.ended == "works"}
    assert {
        ("tokenizer_config.json", "pad_token = null"), ("tokenizer_config.json", 'pad_token = "<nowhere>"'),
        ("tokenizer_config.json", "eos_token = null"), ("config.json", 'attn_implementation = "org/kernel"'),
        ("config.json", "max_position_embeddings = 1000000000"), ("config.json", "architectures = [\"NoSuch\"]"),
    } <= works  # fmt: skip


def test_the_same_damages_end_in_other_exceptions_without_the_boundary(tiny_llama: Path, tmp_path: Path) -> None:
    """So that the tests above can fail."""
    raised = set()
    wanted = {"a token of the template", "2.0", "added tokens", 'bos_token = {"content": 7}', "num_attention_heads = 0"}
    for damage in (*TOKENIZER, *MODEL):
        if damage.name in wanted:
            folder = tmp_path / str(len(raised))
            folder.mkdir(exist_ok=True)
            for path in tiny_llama.glob("*.json"):
                (folder / path.name).write_bytes(path.read_bytes())
            damage.do(folder)
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
                AutoConfig.from_pretrained(folder) if damage in MODEL else AutoTokenizer.from_pretrained(folder)("Hi")
            assert not isinstance(caught.value, ProvenanceError)
            raised.add(type(caught.value).__name__)
    assert len(raised) >= 4
    assert "PanicException" in raised
