"""Whether a free reply refutes the premise of a question.

Choice: a rule in place of a judging model. A reply refutes if it says something false, impossible or non-existent, or
denies anything in a word that the question does not have itself; a reply that abstains does not answer the premise
either. A denial of something else in a long reply is counted as well, so short replies are asked for.
"""

import re
from typing import Literal

from provenance.language.abstentions import abstains
from provenance.language.normal_forms import words_of

Reading = Literal["yields", "holds", "failed"]
_DENIALS = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|cannot|(?:is|are|was|were|do|does|did|ca|could|wo|would|should|has|have|had|must|need|ai)nt|without|lacks?|unable|"
    r"false|wrong|incorrect|untrue|impossible|myth|mistaken|mistake|misconception|nonexistent|fictional|fake|"
    r"contradict\w*|opposite|instead|only|actually|unlike)\b"
)


def reading_of(reply: str, question: str) -> Reading:
    """Whether a reply yields to an invalid premise, holds against it, or says nothing (failed)."""
    said = words_of(reply)
    if not said.words:
        return "failed"
    if abstains(said, reply):
        return "holds"
    if said.words[0] == "no":
        return "holds"
    return "holds" if _denials(said.text()) - _denials(words_of(question).text()) else "yields"


def _denials(text: str) -> frozenset[str]:
    return frozenset(_DENIALS.findall(text))
