"""Study files: what they say becomes jobs, and what they say wrongly is named with its line."""

import math
import re
from pathlib import Path

import pytest

from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import FULL, QUICK
from provenance.analyses.studies.study_file import load_study, parsed, shipped, what_changed
from provenance.analyses.timeline.timeline_job import TimelineJob
from provenance.errors import InputError

WHOLE = """
title = "Two families and a timeline"
questions = ["triviaqa", "mine.jsonl"]

[settings]
samples = 5
quick = true
C = 3

[[family]]
name = "gemma-3-4b"

[[family]]
name = "ours"
base = "org/base"
instruct = "org/tuned"
questions = ["nq-open"]
settings.samples = 7
settings.quick = false

[[timeline]]
name = "olmo-2-1b"

[[timeline]]
name = "pythia"
checkpoints = ["a", "b", "c"]
tuned = 2
"""


def test_settings_of_a_family_win_over_those_of_the_study() -> None:
    known, ours, olmo, pythia = parsed("whole", WHOLE).members
    assert known.job == Job(
        "google/gemma-3-4b-pt", "google/gemma-3-4b-it", ("triviaqa", "mine.jsonl"), samples=5, C=3.0, effort=QUICK
    )
    assert ours.job == Job("org/base", "org/tuned", ("nq-open",), samples=7, C=3.0, effort=FULL)
    assert isinstance(olmo.job, TimelineJob)
    assert olmo.refs[-1] == "allenai/OLMo-2-0425-1B-Instruct"
    assert pythia.job == TimelineJob(
        ("a", "b", "c"), Job("a", "c", ("triviaqa", "mine.jsonl"), samples=5, C=3.0, effort=QUICK), tuned=2
    )


def test_servers_are_a_list() -> None:
    text = f'{FAMILY}settings.engine = "openai"\nsettings.base_url = ["http://x/v1", "http://y/v1"]'
    [member] = parsed("s", text).members
    assert isinstance(member.job, Job)
    assert (member.job.engine, member.job.base_url) == ("openai", ("http://x/v1", "http://y/v1"))
    for wrong in ('"http://x/v1"', "[1]", "{ a = 1 }"):
        with pytest.raises(InputError, match="a list of texts for base_url"):
            parsed("s", f"{FAMILY}settings.base_url = {wrong}")


def test_a_cluster_is_an_address_and_a_number_of_workers() -> None:
    text = f'{FAMILY}settings.engine = "ray"\nsettings.ray_address = "h:1"\nsettings.ray_workers = 2'
    [member] = parsed("s", text).members
    assert isinstance(member.job, Job)
    assert (member.job.engine, member.job.ray_address, member.job.ray_workers) == ("ray", "h:1", 2)


def test_variables_of_a_chat_template_are_a_table() -> None:
    [member] = parsed("s", f"{FAMILY}settings.template_args = {{ b = 1, a = true }}").members
    assert isinstance(member.job, Job)
    assert member.job.template_args == (("a", True), ("b", 1))


def test_a_members_digest_is_that_of_its_questions_and_settings() -> None:
    """Not of its comments: an edited file runs again only what is another job."""
    texts = (FAMILY, f"# a word\n{FAMILY}", f"{FAMILY}settings.samples = 3", f'{FAMILY}questions = ["x"]')
    first, same, *others = (parsed("s", text).members[0].digest for text in texts)
    assert first == same
    assert len({first, *others}) == 3


BEHAVIOUR = """
[behaviour]
benchmarks = ["misled.jsonl", "doubted.jsonl"]
alphas = [0, 1, 3]
items = 200
reply_tokens = 64
neutral_text = ["prose.txt"]

[[family]]
name = "lab-inherited"

[[family]]
name = "lab-acquired"
behaviour.benchmarks = ["premises.jsonl"]
behaviour.sets = 40

[[family]]
name = "lab-functional"
behaviour.benchmarks = []

[[timeline]]
name = "olmo-2-1b"
questions = ["triviaqa"]
"""


def test_benchmarks_of_a_study_are_those_of_the_comparisons_of_its_families() -> None:
    """The job is that of `compare --behaviour`; a family's keys win one by one, and an empty list is for none."""
    first, second, third, timeline = (member.job for member in parsed("s", BEHAVIOUR).members)
    pair = ("lab/inherited/base", "lab/inherited/instruct")
    files = ("misled.jsonl", "doubted.jsonl")
    more = {"items": 200, "reply_tokens": 64, "neutral_text": ("prose.txt",)}
    assert first == Job(*pair, behaviour=files, alphas=(0.0, 1.0, 3.0), **more)
    assert repr(first.alphas) == "(0.0, 1.0, 3.0)"  # as an option gives them: the key has their digits
    assert isinstance(second, Job)
    assert (second.behaviour, second.alphas, second.sets, second.items) == (("premises.jsonl",), (0, 1, 3), 40, 200)
    assert second.neutral_text == ("prose.txt",)
    assert third == Job("lab/functional/base", "lab/functional/instruct")
    assert isinstance(timeline, TimelineJob)
    assert timeline.how.behaviour == ()


def test_replicates_of_a_study_are_those_of_its_benchmarks_and_of_its_timelines_as_well() -> None:
    *families, timeline = (member.job for member in parsed("s", f"settings.replicates = 3\n{BEHAVIOUR}").members)
    assert [(job.replicates, len(job.behaviour)) for job in families if isinstance(job, Job)] == [
        (3, 2),
        (3, 1),
        (3, 0),
    ]
    assert isinstance(timeline, TimelineJob)
    assert timeline.how.replicates == 3


def test_a_timeline_can_have_responses_of_its_own() -> None:
    """In place of the study's questions; the job is that of `trace --responses`."""
    text = 'questions = ["triviaqa"]\n[[timeline]]\nname = "x"\ncheckpoints = ["a/b", "a/c"]\n'
    [member] = parsed("s", f'{text}responses = "said.jsonl"\npositive = "refusal"').members
    refs = ("a/b", "a/c")
    assert member.job == TimelineJob(refs, Job(*refs, responses=Path("said.jsonl"), positive="refusal"))
    [asked] = parsed("s", text).members
    assert asked.job == TimelineJob(refs, Job(*refs, ("triviaqa",)))


RESPONSES = """
questions = ["triviaqa"]

[[family]]
name = "lab-inherited"

[[family]]
name = "lab-acquired"
responses = "refusals.jsonl"
positive = "refusal"
concept = "refusal of harmless requests"
"""


def test_responses_of_a_family_stand_in_place_of_the_questions_of_the_study() -> None:
    """And the other way round: questions of a family in place of the study's responses."""
    asked, given = (member.job for member in parsed("s", RESPONSES).members)
    pair = ("lab/acquired/base", "lab/acquired/instruct")
    words = {"positive": "refusal", "concept": "refusal of harmless requests"}
    assert asked == Job("lab/inherited/base", "lab/inherited/instruct", ("triviaqa",))
    assert given == Job(*pair, responses=Path("refusals.jsonl"), **words)
    text = f'responses = "all.jsonl"\npositive = "a"\n{FAMILY}[[family]]\nname = "lab-acquired"\n'
    shared, own = (member.job for member in parsed("s", f'{text}questions = ["nq-open"]').members)
    assert isinstance(shared, Job)
    assert (shared.responses, shared.positive) == (Path("all.jsonl"), "a")
    assert own == Job(*pair, ("nq-open",))


def test_what_an_edited_file_changes_is_named_by_member_and_setting() -> None:
    """Checkpoints, questions and settings; a file that cannot be read any more says only that there is a change."""
    edited = WHOLE.replace("settings.samples = 7", "settings.samples = 8\nsettings.limit = 20").replace(
        'checkpoints = ["a", "b", "c"]\ntuned = 2', 'checkpoints = ["a", "c"]\ntuned = 1\nquestions = ["nq-open"]'
    )
    now = parsed("whole", edited)
    names = ["ours", "pythia", "gone"]
    assert what_changed(WHOLE, now, names) == {
        "ours": "limit, samples", "pythia": "checkpoints, questions, tuned", "gone": "taken out",
    }  # fmt: skip
    assert what_changed("no TOML", now, names) == {"ours": "changed", "pythia": "changed", "gone": "taken out"}


def test_every_shipped_study_can_be_read_and_that_of_the_paper_has_its_six_families() -> None:
    assert {"lab", "olmo2-1b", "paper", "pythia-1b", "small"} == set(shipped())
    assert all(load_study(name).members for name in shipped())
    assert len(load_study("paper").members) == 6


def test_shipped_timelines_ask_each_checkpoint_in_a_prompt_that_it_knows() -> None:
    """OLMo's three tuned models in the chat template; Pythia, which nobody tuned, in one prompt from first to last."""
    [olmo], [pythia] = (load_study(name).members for name in ("olmo2-1b", "pythia-1b"))
    assert isinstance(olmo.job, TimelineJob)
    assert olmo.refs[-olmo.job.tuned :] == tuple(
        f"allenai/OLMo-2-0425-1B-{stage}" for stage in ("SFT", "DPO", "Instruct")
    )
    assert olmo.job.how.chat
    assert olmo.refs[-olmo.job.tuned - 1] == "allenai/OLMo-2-0425-1B"
    assert isinstance(pythia.job, TimelineJob)
    assert (pythia.refs[0], pythia.refs[-1]) == ("EleutherAI/pythia-1b@step0", "EleutherAI/pythia-1b@step143000")
    asked = {stage: how.prompt for stage, how in pythia.job.how.settings().collection.items()}
    assert asked["base"] == asked["instruct"]


def test_revisions_of_shipped_timelines_are_in_order_and_named_as_their_publishers_name_them() -> None:
    """OLMo 2 1B saw 512 sequences of 4096 tokens a step, rounded up; Pythia has powers of two, then thousands."""
    [olmo], [pythia] = (load_study(name).members for name in ("olmo2-1b", "pythia-1b"))
    named = [re.fullmatch(r"stage1-step(\d+)-tokens(\d+)B", ref.partition("@")[2]) for ref in olmo.refs if "@" in ref]
    steps = [(int(name[1]), int(name[2])) for name in named if name is not None]
    assert len(steps) == len(named) == 5
    assert steps == sorted(steps)
    assert [tokens for _, tokens in steps] == [math.ceil(step * 512 * 4096 / 1e9) for step, _ in steps]
    numbers = [int(ref.partition("@step")[2]) for ref in pythia.refs]
    assert numbers == sorted(numbers)
    saved = {0, *(2**power for power in range(10)), *range(1000, 144_000, 1000)}
    assert set(numbers) <= saved


def test_a_file_wins_over_a_shipped_study_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab").write_text(WHOLE, "utf-8")
    assert load_study("lab").title == "Two families and a timeline"
    assert load_study("./lab").name == "lab"


def test_only_chooses_members_and_names_those_that_are_not_there() -> None:
    study = parsed("whole", WHOLE)
    assert [member.name for member in study.only(["pythia", "ours"])] == ["ours", "pythia"]
    assert study.only(()) == study.members
    with pytest.raises(InputError, match="'nobody'"):
        study.only(["nobody"])


FAMILY = '[[family]]\nname = "lab-inherited"\n'
WRONG = {
    "title = ": "Invalid value",
    "": "none",
    f"title = 3\n{FAMILY}": r"3 \(line 1\)",
    f'tilte = "x"\n{FAMILY}': r"'tilte' \(line 1\)",
    f"{FAMILY}{FAMILY}": r"'lab-inherited' twice \(line 4\)",
    f'{FAMILY}[[family]]\nname = "x"\nbase = "lab/inherited/base"\ninstruct = "lab/inherited/instruct"': "the same job",
    '[[family]]\nname = "x"\nbase = "y"': r"one of them \(line 1\)",
    '[[family]]\nname = "a/b"': r"'a/b' \(line 1\)",
    f"{FAMILY}[[family]]": r"None \(line 3\)",
    '[[family]]\nname = "nobody"': "'nobody'",
    f"{FAMILY}settings.smples = 3": r"'smples' \(line 3\)",
    f"{FAMILY}settings.samples = true": r"True \(line 3\)",
    f'{FAMILY}settings.samples = "3"': r"'3' \(line 3\)",
    f"{FAMILY}settings.samples = 0": "0",
    f"{FAMILY}settings.seed = -1": r"-1 \(line 1\)",
    f"{FAMILY}settings.quick = 1": r"1 \(line 3\)",
    f'{FAMILY}settings.select = "best"': r"'best' \(line 3\)",
    f'{FAMILY}settings.control = "unrelated"': r"'control' \(line 3\)",
    f"settings = 3\n{FAMILY}": "3",
    f'questions = "triviaqa"\n{FAMILY}': "'triviaqa'",
    'family = "x"': "another form of family",
    '[[timeline]]\nname = "olmo-2-1b"\ntuned = 0': r"and 0 \(line 1\)",
    '[[timeline]]\nname = "x"\ncheckpoints = ["a"]': r"1 and 1 \(line 1\)",
    '[[timeline]]\nname = "x"\nfamily = ["a"]': r"\['a'\] \(line 1\)",
    '[[family]]\nname = "x"\nbase = ["a"]\ninstruct = "b"': r"\['a'\] \(line 1\)",
    '[[family]]\nname = "x"\nbase = ""\ninstruct = "b"': r"'' \(line 1\)",
    '[[family]]\nname = ".."\nbase = "a"\ninstruct = "b"': r"'\.\.' \(line 1\)",
    '[[family]]\nname = "Report.HTML"\nbase = "a"\ninstruct = "b"': r"'Report.HTML' \(line 1\)",
    f'{FAMILY}[[family]]\nname = "LAB-inherited"\nbase = "a"\ninstruct = "b"': "twice",
    f'"my key" = 1\n{FAMILY}': "'my key'",
    f"{FAMILY}settings.C = nan": r"nan \(line 3\)",
    f'{FAMILY}settings.template_args = ["a=b"]': r"\['a=b'\] \(line 3\)",
    "x = " + "[" * 20_000: "recursion",
    "x = " + "9" * 5_000: "4300",
    f"{FAMILY}settings.replicates = 3\nsettings.quick = true": r"3 replicates and --quick \(line 1\)",
    f"settings.samples = 0\n{FAMILY}": r"0 \(line 2\)",
    f'{FAMILY}settings.behaviour = ["a"]': r"'behaviour' \(line 3\)",
    f'{FAMILY}behaviour = "a"': r"'a' \(line 3\)",
    f"{FAMILY}behaviour.alphas = [0, 1]": r"none \(line 3\)",
    f'{FAMILY}behaviour.neutral_text = ["a.txt"]': r"none \(line 3\)",
    f'{FAMILY}behaviour.benchmarks = ["a"]\nbehaviour.neutral_text = "a.txt"': r"'a.txt' \(line 4\)",
    f"[behaviour]\nitems = 3\n{FAMILY}": r"none \(line 3\)",
    f'{FAMILY}[family.behaviour]\nbenchmarks = ["a"]\nalphas = [0, -1]': r"\[0, -1\] \(line 5\)",
    f'[behaviour]\nbenchmarks = ["a"]\nalphas = [nan]\n{FAMILY}': r"\[nan\] \(line 3\)",
    f'[behaviour]\nbenchmarks = ["a"]\nalphas = [1]\n{FAMILY}': r"1 \(line 4\)",
    f'[behaviour]\nbenchmarks = ["a", 1]\n{FAMILY}': r"\['a', 1\] \(line 2\)",
    f'[behaviour]\nbenchmarks = ["a"]\nsets = 0\n{FAMILY}': r"0 \(line 4\)",
    f'[behaviour]\nbenchmarks = ["a"]\nitems = 2.5\n{FAMILY}': r"2.5 \(line 3\)",
    f'{FAMILY}[behaviour]\nbenchmarks = ["a"]\nsteps = 3': r"'steps' \(line 5\)",
    f'{FAMILY}[[family]]\nname = "lab-acquired"\nbehaviour.sets = "3"\nbehaviour.benchmarks = ["b"]\n[behaviour]\n'
    'sets = 3\nbenchmarks = ["a"]': r"'3' \(line 5\)",
    '[behaviour]\nbenchmarks = ["a"]\n[[timeline]]\nname = "olmo-2-1b"': r"timelines alone \(line 1\)",
    '[[timeline]]\nname = "olmo-2-1b"\nbehaviour.benchmarks = ["a"]': r"'behaviour' \(line 3\)",
    f"{FAMILY}responses = 3": r"3 \(line 3\)",
    f'{FAMILY}positive = "a"': r"--positive alone \(line 1\)",
    f'{FAMILY}responses = "a"\nquestions = ["b"]': r"--responses and --questions \(line 1\)",
    f'{FAMILY}responses = "a"\nsettings.samples = 3': r"--responses and --samples \(line 1\)",
    f'{FAMILY}settings.responses = "a"': r"'responses' \(line 3\)",
    'responses = "a"\n[[timeline]]\nname = "olmo-2-1b"': r"timelines alone \(line 1\)",
}
"""What is wrong, and what the error says was found."""


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_study_is_one_error_that_names_what_was_found(text: str) -> None:
    with pytest.raises(InputError, match=WRONG[text]):
        parsed("wrong", text)


def test_a_study_that_is_not_there_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lab, olmo2-1b, paper, pythia-1b, small"):
        load_study("nothing")
    for nothing in (str(tmp_path), "x" * 300, "~nobody-has-this-name/x", "\0"):
        with pytest.raises(InputError, match="which is none"):
            load_study(nothing)
    binary = tmp_path / "x.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="can't decode"):
        load_study(str(binary))
