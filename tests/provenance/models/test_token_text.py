"""Characters of token ids, against the offsets that the encoder gives for the same ids."""

import pytest
from checkpoint_factory import make_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from provenance.models.token_text import decode_response, special_ids, spelled, token_offsets, token_texts

TEXTS = [
    "Paris", " Zürich.", "東京都", "東京 Tokyo 🚁", "a🚁b", "👩‍👩‍👧", "서울", "e\u0301clair", "москва 12", "x\ny  z",
    "𝔘𝔫𝔦", "",
]  # fmt: skip
CONTEXT = 7


def fallback_tokenizer() -> PreTrainedTokenizerFast:
    """As SentencePiece models with byte fallback are: a few characters are tokens, all others are bytes."""
    vocab = {
        piece: place for place, piece in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))])
    }
    for piece in ["▁", *"abcdeghiklnoprstyzPTZ.", "か", "▁P", "▁T"]:
        vocab.setdefault(piece, len(vocab))
    core = Tokenizer(models.BPE(vocab, [("▁", "P"), ("▁", "T")], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {"byte fallback": fallback_tokenizer(), "byte level": make_tokenizer()}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_token_has_the_characters_that_the_encoder_made_it_from(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    for text in TEXTS:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, truth = encoded["input_ids"], [tuple(pair) for pair in encoded["offset_mapping"]]
        assert spelled(tokenizer, [CONTEXT], ids) == (text, truth)
        for count in range(len(ids)):  # a response may break off inside a character
            cut, offsets = spelled(tokenizer, [CONTEXT], ids[:count])
            assert cut.rstrip("\ufffd") == text[: len(cut.rstrip("\ufffd"))]
            assert offsets == truth[:count]


def test_decoding_growing_prefixes_would_take_characters_back() -> None:
    """What the bytes of the ids are for: two characters are whole, and the third byte of a third undoes them."""
    tokenizer = TOKENIZERS["byte fallback"]
    ids = tokenizer("東京都", add_special_tokens=False)["input_ids"]
    assert "東" not in tokenizer.decode(ids[:8])
    assert decode_response(tokenizer, [CONTEXT], ids[:8]) == "東京\ufffd"
    assert token_offsets(tokenizer, [CONTEXT], ids[:8])[-2:] == [(2, 3), (2, 3)]


def test_a_decoder_of_another_kind_gives_ranges_that_never_run_backwards() -> None:
    core = Tokenizer(models.WordLevel({"[UNK]": 0, "new": 1, "york": 2}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")
    text, offsets = spelled(tokenizer, [0], [1, 2, 1])
    assert [text[slice(*each)].strip() for each in offsets] == ["new", "york", "new"]


def test_special_are_all_tokens_that_are_declared_so() -> None:
    """Llama's reserved ones have no name among those of BOS, EOS and padding."""
    tokenizer = make_tokenizer()
    named = special_ids(tokenizer)
    tokenizer.add_tokens([AddedToken("<|eot_id|>", special=True), AddedToken("<think>", special=False)])
    assert special_ids(tokenizer) - named == {tokenizer.convert_tokens_to_ids("<|eot_id|>")}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_text_of_a_token_keeps_its_spaces_and_names_what_is_no_character(kind: str) -> None:
    """Joined they are the text; of a character of three bytes each is named."""
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer(" Tokyo", add_special_tokens=False)["input_ids"]
    assert "".join(token_texts(tokenizer, ids)) == " Tokyo"
    assert token_texts(tokenizer, ids)[0].startswith(" ")
    three = tokenizer("東", add_special_tokens=False)["input_ids"]
    assert token_texts(tokenizer, three) == ["<0xE6>", "<0x9D>", "<0xB1>"]
    assert token_texts(tokenizer, [len(tokenizer) + 3]) == [f"<id {len(tokenizer) + 3}>"]
