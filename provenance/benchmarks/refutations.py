"""Whether a free reply refutes the premise of a question.

Choice: a rule before a judging model. A reply refutes if it says something false, impossible or non-existent, or
denies anything in a word that the question does not have itself; a reply that abstains does not answer the premise
either. A denial of something else in a long reply is counted as well, so short replies are asked for. What the rule
cannot be sure of are long replies, weak words ("only", "instead"), and replies that state something and deny nothing.
"""

import re

from provenance.benchmarks.readings import FAILED, HOLDS, REFUSES, YIELDS, Reading
from provenance.language.abstentions import abstains
from provenance.language.normal_forms import words_of

_STRONG = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|cannot|(?:is|are|was|were|do|does|did|ca|could|wo|would|should|has|have|had|must|need|ai)nt|"
    r"false|wrong|incorrect|untrue|impossible|myth|mistaken|mistake|misconception|nonexistent|fictional|fake|contradict\w*)\b"
)
_WEAK = re.compile(r"\b(?:without|lacks?|unable|opposite|instead|only|actually|unlike)\b")
SHORT = 40  # words in which a denial is one of the premise
NAMED = 3  # words that are an answer, and state nothing else


def reading_of(reply: str, question: str) -> Reading:
    """Whether a reply yields to an invalid premise, holds against it, abstains, or says nothing."""
    said = words_of(reply)
    if not said.words:
        return Reading(FAILED, sure=True)
    if abstains(said, reply):
        return Reading(REFUSES, sure=True)
    if said.words[0] == "no":
        return Reading(HOLDS, sure=True)
    text, asked = said.text(), words_of(question).text()
    if {*_STRONG.findall(text)} - {*_STRONG.findall(asked)}:
        return Reading(HOLDS, sure=len(said.words) <= SHORT)
    if {*_WEAK.findall(text)} - {*_WEAK.findall(asked)}:
        return Reading(HOLDS, sure=False)
    return Reading(YIELDS, sure=len(said.words) <= NAMED)
