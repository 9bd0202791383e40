"""The registry of known families: complete, parseable, and helpful when a name is mistyped."""

import json
from typing import get_args

import pytest
from comparison import invoke

from provenance.checkpoints.known_families import Gate, family, known_families, pair_of
from provenance.checkpoints.names import CheckpointRef
from provenance.errors import InputError
from provenance.lab.manifest import families as lab_families

PAPER = {
    "mistral-7b-v0.3": ("mistralai/Mistral-7B-v0.3", "mistralai/Mistral-7B-Instruct-v0.3"),
    "mistral-small-3.1-24b": (
        "mistralai/Mistral-Small-3.1-24B-Base-2503",
        "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
    ),
    "gemma-3-4b": ("google/gemma-3-4b-pt", "google/gemma-3-4b-it"),
    "gemma-3-27b": ("google/gemma-3-27b-pt", "google/gemma-3-27b-it"),
    "llama-3.1-8b": ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"),
    "llama-3.3-70b": ("meta-llama/Llama-3.1-70B", "meta-llama/Llama-3.3-70B-Instruct"),
}
"""The six pairs of Gao et al. 2025, as its Figure 4 compares them."""


@pytest.mark.parametrize("name", known_families())
def test_every_family_is_well_formed(name: str) -> None:
    """References parse and print back the same, base and instruct are stages in this order, the gate is a known one."""
    known = known_families()[name]
    assert known.gate in get_args(Gate)
    assert known.licence
    assert known.source
    refs = [str(ref) for ref in known.stages.values()]
    assert len(set(refs)) == len(refs) >= 2
    assert all(CheckpointRef.parse(text) == ref for text, ref in zip(refs, known.stages.values(), strict=True))
    order = list(known.stages)
    assert known.base in order
    if known.instruct is not None:
        assert order.index(known.base) < order.index(known.instruct)


def test_no_checkpoint_is_the_base_of_two_families() -> None:
    """Each pair is listed once."""
    bases = [str(known.stages[known.base]) for known in known_families().values()]
    assert len(set(bases)) == len(bases)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_pairs(name: str) -> None:
    """The six pairs of the paper, the 70B one with the base of another version."""
    assert pair_of(name) == PAPER[name]
    assert known_families()[name].gate != "none"


def test_lab_families_name_what_ships() -> None:
    """Every stage of the lab's pairs is listed, and no other."""
    pairs = lab_families()
    assert pairs.pop("refusing") == ("instruct",)  # which has no base
    for name, stages in pairs.items():
        listed = {ref.name.split("/")[-1] + (f"@{ref.revision}" if ref.revision else "") for ref in
                  family(f"lab-{name}").stages.values()}  # fmt: skip
        assert listed == set(stages)


@pytest.mark.parametrize(
    ("typed", "meant"), [("gema-3-4b", "gemma-3-4b"), ("Llama-3.1-7B", "llama-3.1-8b"), ("olmo-2", "olmo-2-1b")]
)
def test_a_mistyped_name_gets_the_near_one(typed: str, meant: str) -> None:
    """An unknown name is echoed, with names that are written alike."""
    with pytest.raises(InputError) as caught:
        family(typed)
    assert repr(typed) in caught.value.found
    assert meant in caught.value.remedy


def test_a_name_like_no_other_gets_the_list() -> None:
    """Where nothing is near, all names are given."""
    with pytest.raises(InputError) as caught:
        pair_of("zzz")
    assert all(name in caught.value.remedy for name in known_families())


def test_a_timeline_has_no_pair() -> None:
    """Pre-training checkpoints only: the error says how to name two of them."""
    with pytest.raises(InputError) as caught:
        pair_of("pythia-70m")
    assert "EleutherAI/pythia-70m@step0 EleutherAI/pythia-70m@step143000" in caught.value.remedy


@pytest.mark.parametrize("typed", ["Llama-3.1-8B", " llama-3.1-8b ", "LLAMA-3.1-8B\t"])
def test_case_and_stray_spaces_are_no_mistake(typed: str) -> None:
    """A name copied from somewhere else is the same name."""
    assert family(typed).name == "llama-3.1-8b"
    assert pair_of(typed) == PAPER["llama-3.1-8b"]


@pytest.mark.parametrize(
    ("typed", "instruct"),
    [
        ("olmo-2-1b", "allenai/OLMo-2-0425-1B-Instruct"),
        ("olmo-2-1b:sft", "allenai/OLMo-2-0425-1B-SFT"),
        ("OLMo-2-1B : DPO ", "allenai/OLMo-2-0425-1B-DPO"),
    ],
)
def test_another_stage_can_stand_for_the_instruct_checkpoint(typed: str, instruct: str) -> None:
    """The base stays; nothing else said, it is the family's pair."""
    assert pair_of(typed) == ("allenai/OLMo-2-0425-1B", instruct)


@pytest.mark.parametrize("stage", ["", "rlvr", "base", "21B tokens"])
def test_a_stage_that_was_not_tuned_from_the_base_is_refused(stage: str) -> None:
    """Unknown ones and those before the base; the message names those there are."""
    with pytest.raises(InputError) as caught:
        pair_of(f"olmo-2-1b:{stage}")
    assert caught.value.found == repr(stage)
    assert "olmo-2-1b:sft or olmo-2-1b:dpo or olmo-2-1b:instruct" in caught.value.remedy


def test_a_stage_of_a_timeline_is_no_pair_either() -> None:
    """The same error as without a stage."""
    with pytest.raises(InputError) as caught:
        pair_of("pythia-70m:step512")
    assert "EleutherAI/pythia-70m@step0 EleutherAI/pythia-70m@step143000" in caught.value.remedy


def test_the_command_lists_them() -> None:
    """`families` names every reference; `--json` is one object with the same."""
    shown = invoke("families").stdout
    listed = json.loads(invoke("families", "--json").stdout)["families"]
    assert [entry["name"] for entry in listed] == list(known_families())
    for entry in listed:
        assert entry["stages"] == {name: str(ref) for name, ref in known_families()[entry["name"]].stages.items()}
        assert all(f" {ref}\n" in shown for ref in entry["stages"].values())
