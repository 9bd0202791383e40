"""Collecting: what is kept, what is dropped and why, and that a broken-off run goes on to the same end."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from memory_logs import MemoryResponses
from tokenizers import AddedToken

from provenance.answers import collect_responses as module
from provenance.answers.collect_responses import NO_JUDGEMENT, Judged, Protocol, collect, label_of, rounds_of
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.sampling import Decoding, Draw, PromptBatch, Respondent
from provenance.errors import InputError
from provenance.models.loading import LoadedModel
from provenance.records import Question, Response, Split

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

SAMPLES = 10
RIGHT, WRONG, REFUSAL, EMPTY = " Paris", " New York", " I don't know", "\n"


def make_protocol(**changes: object) -> Protocol:
    settings: dict[str, object] = {
        "prompt": PromptFormat("{question}\nAnswer:", chat=False),
        "decoding": Decoding(max_new_tokens=6),
        "rounds": rounds_of(SAMPLES),
        "quota": 100,
        "stop_at_newline": False,
        "batch_size": 4,
        "seed": 0,
    }
    return Protocol(**settings | changes)  # type: ignore[arg-type]


def make_questions(count: int) -> list[tuple[Question, Split]]:
    return [(Question(f"q{i}", f"Question {i}?", ("Paris",), f"question {i}"), "train") for i in range(count)]


class Scripted:
    """A `Sampler` that gives the texts of a script, question by question."""

    def __init__(self, script: dict[str, list[str]], loaded: LoadedModel) -> None:
        self.script = script
        self.loaded = loaded
        self.drawn: Counter[str] = Counter()
        self.prompts: Sequence[Prompt] = ()

    def respondent(self) -> Respondent:
        return Respondent(self.loaded.lexicon, self)

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        self.prompts = prompts
        return self.draw

    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[list[int]]]:
        out = []
        for row in rows:
            name = self.prompts[row].text.split("?")[0]
            texts = [self.script[name][sample] for sample in samples]
            self.drawn[name] += len(samples)
            out.append([self.loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])
        return out


def run(loaded: LoadedModel, script: list[list[str]], **changes: object) -> tuple[list[Response], Scripted]:
    scripted = Scripted({f"Question {i}": texts for i, texts in enumerate(script)}, loaded)
    how = make_protocol(**changes)
    done = collect(scripted.respondent, make_questions(len(script)), how, MemoryResponses(), lambda *_: None)
    return done, scripted


def test_ten_right_are_faithful_ten_wrong_hallucinated(loaded_llama: LoadedModel) -> None:
    script = [[RIGHT] * SAMPLES, [WRONG] * SAMPLES, [*[" Rome"] * 4, *[WRONG] * 6]]
    done, _ = run(loaded_llama, script)
    assert [(r.label, r.n_samples, r.n_right) for r in done] == [
        ("faithful", 10, 10), ("hallucinated", 10, 0), ("hallucinated", 10, 0)
    ]  # fmt: skip
    assert done[2].text == WRONG  # the most frequent one represents


@pytest.mark.parametrize(
    ("texts", "reason", "asked"),
    [
        ([WRONG, RIGHT, *[WRONG] * 8], "disagreement", 4),
        ([*[RIGHT] * 9, WRONG], "disagreement", 10),
        ([REFUSAL, *[WRONG] * 9], "refusal", 4),
        ([EMPTY, *[WRONG] * 9], "empty", 1),
        ([WRONG, WRONG, REFUSAL, *[WRONG] * 7], "refusal", 4),
        ([WRONG, " Rome\nor Paris", RIGHT, *[WRONG] * 7], "disagreement", 4),  # the first line is the answer
        (["<think>Paris", *[RIGHT] * 9], "reasoning not closed", 1),
        (["<think>Rome?</think>\nParis", *[RIGHT] * 8, WRONG], "disagreement", 10),  # right at first
    ],
)
def test_a_question_is_given_up_at_its_first_failure(
    loaded_llama: LoadedModel, texts: list[str], reason: str, asked: int
) -> None:
    done, scripted = run(loaded_llama, [texts])
    assert (done[0].label, done[0].reason, done[0].n_samples) == ("dropped", reason, asked)
    assert scripted.drawn["Question 0"] == asked


def test_a_response_at_the_limit_of_tokens_is_marked_and_no_training_response(loaded_llama: LoadedModel) -> None:
    """Six tokens with a limit of six were cut off; five ended by themselves. In tests both are kept."""
    long, short = " Paris" * 6, " Paris" * 5
    script = {"Question 0": [long] * 2, "Question 1": [short] * 2}
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        scripted = Scripted(script, loaded_llama)
        questions = [(question, split) for question, _ in make_questions(2)]
        how = make_protocol(rounds=rounds_of(2))
        done = collect(scripted.respondent, questions, how, MemoryResponses(), lambda *_: None)
        assert [len(r.response_ids) for r in done] == [6, 5]
        assert [r.cut_off for r in done] == [True, False]
        kept = ("faithful", "") if split == "test" else ("dropped", "cut off")
        assert [(r.label, r.reason) for r in done] == [kept, ("faithful", "")]


def test_evaluation_takes_one_sample(loaded_llama: LoadedModel) -> None:
    done, _ = run(loaded_llama, [[RIGHT], [WRONG], [REFUSAL]], rounds=rounds_of(1))
    assert [(r.label, r.n_samples) for r in done] == [("faithful", 1), ("hallucinated", 1), ("refusal", 1)]


def test_a_full_class_takes_no_more_and_is_not_sampled_further(loaded_llama: LoadedModel) -> None:
    script = [[WRONG] * SAMPLES] * 6 + [[RIGHT] * SAMPLES] * 2
    done, scripted = run(loaded_llama, script, quota=2)
    labels = [(r.label, r.reason) for r in done]
    assert labels[:2] == [("hallucinated", "")] * 2
    assert labels[2:6] == [("dropped", "quota full")] * 4
    assert labels[6:] == [("faithful", "")] * 2
    assert scripted.drawn["Question 3"] == SAMPLES  # same batch: already under way
    assert scripted.drawn["Question 4"] == 1  # next batch: the first sample shows the full class


def test_asking_stops_when_both_classes_are_full(loaded_llama: LoadedModel) -> None:
    script = [[WRONG] * SAMPLES, [RIGHT] * SAMPLES] * 8
    done, _ = run(loaded_llama, script, quota=2)
    assert len(done) == 4


def test_a_response_ends_where_a_turn_does_and_at_every_special_token(
    loaded_llama: LoadedModel,
) -> None:
    """Whatever the lists of end tokens say; these tokens would have been sampled."""
    unlisted = replace(loaded_llama, stop_ids=frozenset())
    special = set(unlisted.tokenizer.all_special_ids)
    asked = make_protocol(decoding=Decoding(max_new_tokens=12), rounds=(4,), batch_size=16)
    prompts = [asked.prompt.render(unlisted.tokenizer, q.text) for q, _ in make_questions(16)]
    drawn = PromptBatch(unlisted, prompts, asked.decoding, frozenset({2})).draw(range(16), range(4), 0)
    assert any(special & set(ids) for samples in drawn for ids in samples)
    done = collect(lambda: Respondent.of(unlisted), make_questions(16), asked, MemoryResponses(), lambda *_: None)
    assert not any(special & set(response.response_ids) for response in done)
    chat = make_protocol(prompt=PromptFormat("{question}", chat=True))
    plain = unlisted.tokenizer.convert_tokens_to_ids("a")
    tokenizer = copy.deepcopy(unlisted.tokenizer)
    tokenizer.add_tokens([AddedToken("<turn>", special=False)])
    tokenizer.chat_template = str(tokenizer.chat_template).replace("<end>", "<turn>")
    ends = module.stop_ids_of(replace(unlisted.lexicon, tokenizer=tokenizer), chat.prompt, newline=False)
    assert tokenizer.convert_tokens_to_ids("<turn>") in ends
    assert plain not in ends


def test_refusals_are_neither_class() -> None:
    assert label_of(["refusal", "refusal"]) == ("refusal", "")
    assert label_of(["wrong", "refusal"]) == ("dropped", "refusal")
    assert label_of(["right", "empty", "wrong"]) == ("dropped", "empty")


def test_refusals_are_kept_apart_up_to_a_quota_and_close_no_other_class(loaded_llama: LoadedModel) -> None:
    """All samples refuse, in whatever words; six tokens are the limit here, so each was cut off and stays a refusal."""
    other = " I cannot answer"
    script = [*[[REFUSAL, *[other] * 9]] * 6, [*[REFUSAL] * 9, WRONG], *[[RIGHT] * SAMPLES, [WRONG] * SAMPLES] * 2]
    done, scripted = run(loaded_llama, script, quota=2)
    full = ("dropped", "quota full", "refusal")
    assert [(r.label, r.reason, r.judged_label) for r in done] == [
        *[("refusal", "", "refusal")] * 2, *[full] * 4, ("dropped", "quota full", "refusal"),
        ("faithful", "", "faithful"), ("hallucinated", "", "hallucinated"),
        ("faithful", "", "faithful"), ("hallucinated", "", "hallucinated"),
    ]  # fmt: skip
    assert [r.is_answer for r in done] == [False] * 7 + [True] * 4
    assert (done[0].text, done[0].cut_off) == (other, True)
    assert [scripted.drawn[f"Question {i}"] for i in (0, 3, 4, 6)] == [10, 10, 1, 1]
    mixed, _ = run(loaded_llama, script[6:], quota=2)
    assert (mixed[0].label, mixed[0].reason, mixed[0].judged_label) == ("dropped", "refusal", "dropped")


def by_length(said: Sequence[tuple[Question, str]]) -> list[Judged]:
    """A judge of another mind: long answers refuse, seven characters are no judgement, all others are right."""
    return ["refusal" if len(text) > 9 else NO_JUDGEMENT if len(text) == 7 else "right" for _, text in said]


@pytest.mark.parametrize("agreeing_only", [False, True])
def test_another_judge_decides_and_the_rules_label_of_the_same_samples_stands_beside(
    loaded_llama: LoadedModel, agreeing_only: bool
) -> None:
    """Where only agreement counts, the first sample that tells the two apart is the last one that is asked for."""
    script = [[RIGHT] * SAMPLES, [" Rome"] * SAMPLES, [" I cannot answer"] * SAMPLES, [" Bologna"] * SAMPLES]
    script += [[WRONG] * SAMPLES, [RIGHT, *[" Rome"] * 9]]
    done, scripted = run(loaded_llama, script, judge=by_length, judge_name="judge-1", agreeing_only=agreeing_only)
    expected = {
        "same": ("faithful", "", "faithful", 10),
        "right by one": ("faithful", "", "hallucinated", 10),
        "a refusal of both": ("refusal", "", "refusal", 10),
        "no judgement": ("dropped", "no judgement", "hallucinated", 1),
        "right by one, in more words": ("faithful", "", "hallucinated", 10),
        "mixed by the rule": ("faithful", "", "dropped", 10),
    }
    if agreeing_only:
        differing = {"right by one": 1, "right by one, in more words": 1, "mixed by the rule": 4}
        expected |= {case: ("dropped", "judges differ", expected[case][2], n) for case, n in differing.items()}
    assert [(r.label, r.reason, r.rule_label, r.n_samples) for r in done] == list(expected.values())
    assert [r.judged_label for r in done] == [
        "faithful", "faithful", "refusal", "dropped", "faithful", "faithful"
    ]  # fmt: skip
    assert {r.label_source for r in done} == {"judge-1"}
    assert scripted.drawn["Question 5"] == expected["mixed by the rule"][3]


@pytest.mark.costly
@pytest.mark.parametrize("broken_at", [0, 1, 3])
def test_a_broken_off_collection_goes_on_to_the_same_responses(loaded_llama: LoadedModel, broken_at: int) -> None:
    questions, protocol = make_questions(16), make_protocol()
    undisturbed = collect(lambda: Respondent.of(loaded_llama), questions, protocol, MemoryResponses(), lambda *_: None)
    log = MemoryResponses()
    log.fail_at = broken_at
    with pytest.raises(KeyboardInterrupt):
        collect(lambda: Respondent.of(loaded_llama), questions, protocol, log, lambda *_: None)
    log.fail_at = None
    assert collect(lambda: Respondent.of(loaded_llama), questions, protocol, log, lambda *_: None) == undisturbed
    assert len(undisturbed) == 16


def test_a_complete_log_needs_no_model(loaded_llama: LoadedModel) -> None:
    questions, protocol, log = make_questions(8), make_protocol(), MemoryResponses()
    first = collect(lambda: Respondent.of(loaded_llama), questions, protocol, log, lambda *_: None)

    def no_model() -> Respondent:
        raise AssertionError

    assert collect(no_model, questions, protocol, log, lambda *_: None) == first


def scripts(count: int) -> list[list[str]]:
    """Questions of every fate: of both classes, refused, mixed late or early, empty, without an answer in words."""
    kinds = [
        [RIGHT] * SAMPLES, [WRONG] * SAMPLES, [WRONG] * SAMPLES, [REFUSAL] * SAMPLES, [*[WRONG] * 9, RIGHT],
        [RIGHT, *[WRONG] * 9], [EMPTY] * SAMPLES, [" Paris" * 6] * SAMPLES, [" ..."] * SAMPLES,
    ]  # fmt: skip
    return [kinds[(7 * number + number // 5) % len(kinds)] for number in range(count)]


def asked(
    loaded: LoadedModel, log: MemoryResponses, count: int, samples: int = SAMPLES, **changes: object
) -> tuple[list[Response], Scripted]:
    scripted = Scripted({f"Question {i}": texts for i, texts in enumerate(scripts(count))}, loaded)
    how = make_protocol(rounds=rounds_of(samples), **changes)
    return collect(scripted.respondent, make_questions(count), how, log, lambda *_: None), scripted


@pytest.mark.parametrize("samples", [1, SAMPLES])
@pytest.mark.parametrize("quota", [2, 5, 100])
def test_what_is_written_does_not_depend_on_the_batch_size(loaded_llama: LoadedModel, quota: int, samples: int) -> None:
    """To the last question that is asked, and to the number of samples that are kept of each."""
    one_by_one, scripted = asked(loaded_llama, MemoryResponses(), 60, samples, quota=quota, batch_size=1)
    assert sum(scripted.drawn.values()) == sum(response.n_samples for response in one_by_one)
    assert (len(one_by_one) == 60) == (quota == 100)
    for size in (2, 7, 64):
        assert asked(loaded_llama, MemoryResponses(), 60, samples, quota=quota, batch_size=size)[0] == one_by_one


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4, 16, 5, 8)])
@pytest.mark.parametrize("samples", [1, SAMPLES])
def test_larger_quotas_go_on_with_the_answers_that_are_there(
    loaded_llama: LoadedModel, samples: int, sizes: tuple[int, ...]
) -> None:
    """They end in what they give from the beginning, and given again nothing is drawn.

    No sample that was kept is drawn again; in batches, some are drawn behind those that are kept.
    """
    log = MemoryResponses()
    drawn: Counter[str] = Counter()
    for quota, size in zip((2, 3, 9, 100), sizes, strict=True):
        fresh, _ = asked(loaded_llama, MemoryResponses(), 60, samples, quota=quota, batch_size=1)
        done, scripted = asked(loaded_llama, log, 60, samples, quota=quota, batch_size=size)
        assert done == fresh == log.responses()
        if quota == 2:
            assert any(response.reason == "quota full" for response in done), "there is something to go on with"
        drawn += scripted.drawn
        again, idle = asked(loaded_llama, log, 60, samples, quota=quota, batch_size=3)
        assert (again, sum(idle.drawn.values())) == (done, 0)
    if set(sizes) == {1}:
        assert {f"Question {i}": r.n_samples for i, r in enumerate(done)} == drawn


def test_smaller_quotas_need_no_model_and_give_no_more_than_they_say(loaded_llama: LoadedModel) -> None:
    log = MemoryResponses()
    asked(loaded_llama, log, 60, quota=9)
    fewer, idle = asked(loaded_llama, log, 60, quota=2)
    fresh, _ = asked(loaded_llama, MemoryResponses(), 60, quota=2)
    assert sum(idle.drawn.values()) == 0
    assert [r for r in fewer if r.label != "dropped"] == [r for r in fresh if r.label != "dropped"]
    assert len(fewer) == len(fresh) < len(log.responses())


def test_where_no_sample_is_missing_larger_quotas_need_no_model(loaded_llama: LoadedModel) -> None:
    log = MemoryResponses()
    asked(loaded_llama, log, 8, samples=1, quota=1, batch_size=8)
    for number in range(len(log.responses()), 8):  # all were asked, and one class never filled
        log.put({number: asked(loaded_llama, MemoryResponses(), 8, samples=1)[0][number]})

    def no_model() -> Respondent:
        raise AssertionError

    how = make_protocol(rounds=(1,))
    found = collect(no_model, make_questions(8), how, log, lambda *_: None)
    assert found == asked(loaded_llama, MemoryResponses(), 8, samples=1)[0]


@pytest.mark.parametrize(("samples", "rounds"), [(1, (1,)), (2, (1, 1)), (4, (1, 3)), (10, (1, 3, 6))])
def test_rounds_add_up_to_the_samples(samples: int, rounds: tuple[int, ...]) -> None:
    assert rounds_of(samples) == rounds


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        rounds_of(0)
