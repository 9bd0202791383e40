"""Text of token ids, with the characters that each of them holds.

Ids are bytes: those of a byte-level vocabulary by its table, those of byte fallback by their names (`<0xE6>`), all
others by their letters. Bytes of a whole response are read as UTF-8 at once, so places come from the ids that the model
is given, and no retokenisation can move an edge. `tokenizer.decode` would serve for whole characters only: a decoder
with byte fallback takes back characters that it has given when an incomplete one follows.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

_INCOMPLETE = "\ufffd"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PRINTED_AS_THEMSELVES = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED_AS_THEMSELVES]
_BYTE_OF_LETTER = {chr(byte): byte for byte in _PRINTED_AS_THEMSELVES} | {
    chr(256 + place): byte for place, byte in enumerate(_OTHERS)
}
"""The alphabet of byte-level vocabularies: printable bytes stand for themselves, the others for letters from 256 on."""
_IGNORED = ("Fuse", "Strip")  # these change the beginning of a text only, and a response never stands there


def spelled(
    tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]
) -> tuple[str, list[tuple[int, int]]]:
    """Sampled ids as text, and the half-open range of its characters of which each id holds a byte.

    All ids of one character have its range. `context` are the ids before; the last is decoded too, as some decoders
    treat a text's first token differently.
    """
    decoded = decode_response(tokenizer, context, ids)
    pieces = _pieces(tokenizer, ids)
    if pieces is not None:
        text = b"".join(pieces).decode("utf-8", errors="replace")
        if text == decoded:
            return text, _ranges(pieces)
    return decoded, _grown(tokenizer, context, ids)


def token_offsets(
    tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]
) -> list[tuple[int, int]]:
    """Range of characters of every sampled id; see `spelled`."""
    return spelled(tokenizer, context, ids)[1]


def decode_response(tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]) -> str:
    """The response as text, without the marks of unfinished characters that byte fallback writes over whole ones."""
    anchor = list(context[-1:])
    decoded = _decode(tokenizer, anchor + list(ids))[len(_decode(tokenizer, anchor)) :]
    if _INCOMPLETE not in decoded:
        return decoded
    pieces = _pieces(tokenizer, ids)
    return decoded if pieces is None else b"".join(pieces).decode("utf-8", errors="replace")


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str]:
    """Every id by itself, with its spaces; bytes of no whole character as `<0xE6>`, an id without a token as such."""
    return [_token_text(tokenizer, token) for token in ids]


def _token_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    if tokenizer.convert_ids_to_tokens(token) is None:
        return f"<id {token}>"
    pieces = _pieces(tokenizer, [token])
    if pieces is None:
        return _decode(tokenizer, [token])
    try:
        return pieces[0].decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in pieces[0])


@lru_cache(maxsize=16)
def _special_ids(tokenizer: PreTrainedTokenizerBase, _size: int) -> frozenset[int]:
    added = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    return frozenset({*tokenizer.all_special_ids, *added})


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that are marks and no text: the named ones (BOS, EOS, padding) and every other one declared so."""
    return _special_ids(tokenizer, len(tokenizer))


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[bytes] | None:
    """The bytes of every id; None if the decoder is of another kind than those of `_step`."""
    decoder = getattr(tokenizer.backend_tokenizer, "decoder", None)
    if decoder is None:
        return None
    steps = _steps(decoder.__getstate__())
    tokens = tokenizer.convert_ids_to_tokens(list(ids))
    if steps is None or any(token is None for token in tokens):
        return None
    return [_bytes(token, steps) for token in tokens]


@lru_cache(maxsize=16)
def _steps(state: bytes) -> tuple[tuple[str, str, str], ...] | None:
    """What a decoder does to one token, in order: kind, text to replace, text in its place."""
    decoder: dict[str, Any] = json.loads(state)
    parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    steps = [_step(part) for part in parts]
    known = [step for step in steps if step is not None]
    return tuple(known) if len(known) == len(steps) else None


def _step(part: dict[str, Any]) -> tuple[str, str, str] | None:
    kind = part["type"]
    if kind == "Metaspace":
        return "Replace", part["replacement"], " "
    if kind == "Replace" and "String" in part["pattern"]:
        return kind, part["pattern"]["String"], part["content"]
    return (kind, "", "") if kind in ("ByteLevel", "ByteFallback", *_IGNORED) else None


def _bytes(token: str, steps: tuple[tuple[str, str, str], ...]) -> bytes:
    for kind, old, new in steps:
        if kind == "Replace":
            token = token.replace(old, new)
        elif kind == "ByteFallback" and (match := _BYTE.fullmatch(token)):
            return bytes([int(match[1], 16)])
        elif kind == "ByteLevel" and all(letter in _BYTE_OF_LETTER for letter in token):
            return bytes(_BYTE_OF_LETTER[letter] for letter in token)
    return token.encode("utf-8", errors="replace")


def _ranges(pieces: Sequence[bytes]) -> list[tuple[int, int]]:
    """Range of characters per piece, from the number of the character that every byte belongs to."""
    owner = [number for number, width in enumerate(_widths(b"".join(pieces))) for _ in range(width)]
    ranges: list[tuple[int, int]] = []
    start = 0
    for piece in pieces:
        held = owner[start : start + len(piece)]
        before = owner[start - 1] + 1 if start else 0
        ranges.append((held[0], held[-1] + 1) if held else (before, before))
        start += len(piece)
    return ranges


def _widths(whole: bytes) -> list[int]:
    """Bytes of every character of a text; those of an unfinished one count as the one mark that is written for it."""
    widths: list[int] = []
    while whole:
        try:
            good, bad = whole.decode("utf-8"), 0
        except UnicodeDecodeError as error:
            good, bad = whole[: error.start].decode("utf-8"), error.end - error.start
        new = [len(character.encode("utf-8")) for character in good] + [bad] * (bad > 0)
        widths += new
        whole = whole[sum(new) :]
    return widths


def _grown(tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges from decoding growing prefixes, for decoders of other kinds; they never run backwards."""
    offsets: list[tuple[int, int]] = []
    start = 0
    for count in range(1, len(ids) + 1):
        text = decode_response(tokenizer, context, ids[:count])
        complete = len(text.rstrip(_INCOMPLETE)) if text.endswith(_INCOMPLETE) else len(text)
        stable = max(start, complete)
        offsets.append((start, max(stable, start + 1) if text.endswith(_INCOMPLETE) else stable))
        start = stable
    return offsets
