"""Judges a response by rule: right, wrong, refusal or empty.

Response and aliases are normalised the same way; an alias counts only as whole words of the response.

Choice: all of it, since Gao et al. 2025 do not say how answers to TriviaQA were judged. Apostrophes vanish, and so do
the full stops of abbreviations ("U.S." = "us"); one between digits stays ("3.5"), all other punctuation becomes a space
("Jean-Paul" = "jean paul"); letters of every script are kept. An alias that normalises to nothing (an emoji, "The")
never matches. Right is tested before refusal, so an alias "unknown" can be a right answer.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Judgement = Literal["right", "wrong", "refusal", "empty"]
JUDGE_NAME = "rule"

_VANISHING = str.maketrans("", "", "'’`´‘")
_ABBREVIATION = re.compile(r"\b(?:[^\W\d_]\.)+(?:[^\W\d_]\b)?")
_DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_POINT = "\ue000"  # stands for a decimal point while punctuation is dropped
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_CANNOT = "dont|do not|cant|cannot|can not|couldnt|could not|am unable to|am not able to|was unable to"
_ANSWERING = "know|say|tell|answer|provide|find|determine|identify|verify|confirm|recall|give|help|assist"
_UNSURE = "sorry|not sure|unsure|not certain|unable|not aware|not familiar|afraid|unfamiliar"
_ALONE = "unknown|not known|unclear|uncertain|unsure|not sure|not available|not applicable|na|n a|none known|sorry|idk"
_REFUSALS = re.compile(
    rf"\b(?:i|we) (?:really |just |honestly )?(?:{_CANNOT}) (?:{_ANSWERING})\b"
    rf"|\b(?:im|i am) (?:{_UNSURE})\b"
    r"|\bas (?:an ai|a language model)\b"
    r"|\b(?:i|we) (?:dont|do not) have (?:any |that |enough |this |the )?(?:information|record|data|knowledge|answer)"
    r"|\b(?:i|we) have no (?:idea|information|record|data|knowledge)\b"
    r"|\b(?:no|not enough) (?:idea|information|answer|data|record)s?(?: is| was| are)?(?: available| found| exists?)?$"
    r"|^(?:it|this|that) is (?:not known|unknown|unclear)\b"
    r"|\bthere is no (?:information|known|record|answer|evidence|data)\b"
    r"|\b(?:cannot|can not|could not) be (?:determined|answered|verified|found)\b"
    rf"|^(?:{_ALONE})$"
)


def normalise(text: str) -> str:
    """Lower case, no articles, no punctuation, single spaces; letters and digits of all scripts stay.

    Source: the rule of SQuAD's and TriviaQA's evaluations (Joshi et al. 2017), extended to Unicode.
    """
    return " ".join(_ARTICLES.sub(" ", _words(text)).split())


def _words(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_VANISHING)
    joined = _ABBREVIATION.sub(lambda match: match.group().replace(".", ""), folded)
    marked = _DECIMAL_POINT.sub(_POINT, joined)
    kept = "".join(c if _is_word_character(c) or c == _POINT else " " for c in marked)
    return " ".join(kept.replace(_POINT, ".").split())


def _is_word_character(character: str) -> bool:
    """Letters, marks (vowel signs, accents) and digits of any script."""
    return unicodedata.category(character)[0] in "LMN"


def judge(response: str, answers: Sequence[str], question: str = "") -> Judgement:  # noqa: ARG001 - of every rule
    """Judge a decoded response by rule; without accepted aliases, every confident answer is wrong."""
    said = normalise(response)
    if not said:
        return "empty"
    padded = f" {said} "
    if any(f" {alias} " in padded for alias in map(normalise, answers) if alias):
        return "right"
    return "refusal" if _REFUSALS.search(_words(response)) else "wrong"
