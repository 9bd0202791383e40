"""The verdicts of one comparison as one sentence that claims no more than was measured.

The one idea: transfer shows that something can be read from neurons, drift that their
weights stayed, overlap that a second search ends at the same ones; none of them shows what
the neurons do, so the strongest words here are "readable in the base model".
"""

from provenance.records import Verdict

TRANSFER_WORDS: dict[Verdict, str] = {
    "supported": "the H-Neurons are readable in the base model (the instruct probe, weights unchanged, beats "
    "chance and matched neuron sets on the base's own answers)",
    "not distinguishable": "there is no evidence that the H-Neurons are readable in the base model (the "
    "instruct probe is not shown to tell its answers apart better than chance and matched neuron sets do)",
    "no power": "whether the H-Neurons are readable in the base model could not be tested",
}
DRIFT_WORDS: dict[Verdict, str] = {
    "supported": "tuning changed their weights less than those of other neurons in the same layers",
    "not distinguishable": "tuning is not shown to have changed their weights less than those of other neurons in "
    "the same layers",
    "no power": "whether their weights are unusually stable could not be tested",
}
OVERLAP_WORDS: dict[Verdict, str] = {
    "supported": "an independent search in the base finds more of the same neurons than chance",
    "not distinguishable": "an independent search in the base is not shown to find more of the same neurons than "
    "chance",
    "no power": "the overlap with an independent search in the base could not be tested",
}
# Where indices name different neurons, the H-Neurons themselves were never looked at in the base.
POSITION_WORDS: dict[Verdict, str] = {
    "supported": "a probe at the same positions separates the base's answers, but other neurons sit there",
    "not distinguishable": "a probe at the same positions is not shown to separate the base's answers",
    "no power": "a probe at the same positions could not be tested",
}


def overall_sentence(relation: str, problem: str, transfer: Verdict, drift: Verdict, overlap: Verdict) -> str:
    """What one comparison shows, in one sentence.

    Args:
        relation: Lineage verdict.
        problem: Why neurons of the two cannot be put side by side, which then leads the sentence; or empty.
        transfer: Over the question sets, by `analyses.transfer.overall_transfer`.
        drift: Of the H-Neurons' weights against neurons of the same layers.
        overlap: Of independent searches in both checkpoints.

    Returns:
        Plain text that ends with a full stop; never claims that a neuron does something.
    """
    if problem:
        start = "Nothing can be said about where the H-Neurons come from"
        return f"{start}: {problem}; {POSITION_WORDS[transfer]}."
    findings = f"{TRANSFER_WORDS[transfer]}; {DRIFT_WORDS[drift]}; {OVERLAP_WORDS[overlap]}"
    if relation == "same model":
        return f"The two checkpoints are the same model, so nothing here is about tuning: {findings}."
    if (transfer, drift, overlap) == ("no power",) * 3:
        return f"This comparison had no power to decide anything: {findings}."
    caveat = "; readable does not mean functional, since no base neuron was intervened on"
    return findings[0].upper() + findings[1:] + (caveat if transfer == "supported" else "") + "."


def drift_sentence(relation: str | None, problem: str, k: int, drift: Verdict) -> str:
    """What the weights alone show, in one sentence.

    Args:
        relation: Lineage verdict; None where that was not asked.
        problem: Why neurons of the two cannot be put side by side; or empty.
        k: Neurons that were asked about.
        drift: Their weights against neurons of the same layers.
    """
    if problem:
        return f"Nothing can be said about how far the neurons moved: {problem}."
    start = "Neurons were compared by position"
    if relation:
        start = f"Lineage by the weights: {relation}"
    asked = f"of the listed H-Neurons (k = {k}): {DRIFT_WORDS[drift]}" if k else "no neuron list was given"
    return f"{start}; {asked}; no forward pass was run, so nothing is said about what the neurons do."
