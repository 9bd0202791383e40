"""A checkpoint that answers at a server: the same tokens as here, and no reply is taken that is another's."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from completion_server import DEAD, CompletionServer, completing, unaltered
from loopback import Fault
from memory_logs import MemoryResponses
from test_collect_responses import make_protocol, make_questions

from provenance.analyses.asking.collection import Pool, funnel
from provenance.answers.collect_responses import LOST, collect, rounds_of
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.questions import QuestionSet
from provenance.answers.sampling import Decoding, Respondent, Sampled
from provenance.engines import served_model
from provenance.engines.served_model import Served, ServedModel, find_served
from provenance.errors import InputError, JobError
from provenance.hub.endpoint import RESPONDENT, Endpoint
from provenance.hub.retry import Patience
from provenance.models.loading import LoadedModel
from provenance.records import Response

NAME = "org/tiny"
KEY = "sk-very-secret-0123456789"
HASTE = Patience(tries=3, first_s=0.01, longest_s=0.02)
GREEDY = Decoding(top_k=1, max_new_tokens=9)
FORMAT = PromptFormat("{question}\nAnswer:", chat=False)
STOPS = frozenset({2})


@pytest.fixture(scope="module")
def running(loaded_llama: LoadedModel) -> Iterator[CompletionServer]:
    with completing({NAME: loaded_llama}) as server:
        yield server


@pytest.fixture
def server(running: CompletionServer) -> CompletionServer:
    """As new."""
    for log in (running.faults, running.altered, running.requests, running.keys):
        log.clear()
    running.version, running.listed, running.text_only, running.dies_after = "0.1.0", None, False, None
    running.always, running.most, running.room = unaltered, 0, 200
    return running


def found(server: CompletionServer, loaded: LoadedModel, timeout_s: float = 20.0) -> ServedModel:
    at = replace(Endpoint.at(server.url, RESPONDENT, {RESPONDENT.key_variable: KEY}), patience=HASTE)
    model = find_served([at], [NAME], loaded.lexicon, 9)
    server.requests.clear()
    return replace(model, endpoint=replace(model.endpoint, timeout_s=timeout_s))


def prompts_of(loaded: LoadedModel, count: int) -> list[Prompt]:
    questions = [f"Who is number {number}?" + " Really?" * (number % 3) for number in range(count)]
    return [FORMAT.render(loaded.tokenizer, question) for question in questions]


def drawn(model: ServedModel, prompts: list[Prompt], samples: int = 1, how: Decoding = GREEDY) -> list[list[Sampled]]:
    draw = model.prompted(prompts, how, STOPS)
    return [list(each) for each in draw(range(len(prompts)), range(samples), 0)]


def here(loaded: LoadedModel, prompts: list[Prompt], stops: frozenset[int] = STOPS) -> list[list[list[int]]]:
    return Respondent.of(loaded).sampler.prompted(prompts, GREEDY, stops)(range(len(prompts)), range(1), 0)


@pytest.mark.costly
def test_greedy_answers_are_those_of_the_model_here_token_for_token(
    server: CompletionServer, loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All prompts, several at once but not all; by a stop token that only the client knows as well."""
    prompts = prompts_of(loaded_llama, 40)
    expected = here(loaded_llama, prompts)
    monkeypatch.setattr(served_model, "RESPONSES_AT_ONCE", 8)
    for samples, most in ((1, 8), (4, 2)):
        server.most = 0
        model = found(server, loaded_llama)
        assert drawn(model, prompts, samples) == [[one] * samples for [one] in expected]
        assert len(server.requests) == len(prompts)
        assert 1 < server.most <= most
    assert server.keys == {f"Bearer {KEY}"}
    server.always = lambda reply: [
        choice["token_ids"].append(7) for choice in reply["choices"] if 2 in choice["token_ids"]
    ]
    assert drawn(found(server, loaded_llama), prompts) == expected
    stop = expected[0][0][3]
    prompted = found(server, loaded_llama).prompted(prompts[:1], GREEDY, STOPS | {stop})
    assert prompted(range(1), range(1), 0) == here(loaded_llama, prompts[:1], STOPS | {stop}) != expected[:1]


def test_a_round_is_one_request_a_question_with_a_seed_of_question_and_sample(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    prompts = prompts_of(loaded_llama, 3)
    draw = found(server, loaded_llama).prompted(prompts, Decoding(max_new_tokens=9), STOPS)
    first, rest = draw([2, 0], range(1), 5), draw([0], range(1, 4), 5)
    assert [len(each) for each in (*first, *rest)] == [1, 1, 3]
    assert [request["n"] for request in server.requests] == [1, 1, 3]
    asked = {(tuple(request["prompt"]), request["seed"]) for request in server.requests}
    assert len(asked) == 3
    draw([0], range(1, 4), 5)
    draw([0], range(1, 4), 6)
    seeds = [request["seed"] for request in server.requests[-3:]]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(0 <= seed < 1 << 31 for seed in seeds)
    [last] = server.requests[-1:]
    assert (last["temperature"], last["top_k"], last["top_p"], last["max_tokens"]) == (1.0, 50, 0.9, 9)
    assert (last["repetition_penalty"], last["min_p"], last["stop_token_ids"]) == (1, 0, [2])


def test_what_a_server_says_of_itself_is_identity_and_its_address_is_not(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    model = found(server, loaded_llama)
    assert model.served == Served(NAME, "0.1.0", "as sampled", 200)
    assert (model.lexicon.context, loaded_llama.lexicon.context) == (200, 256)
    assert "127.0.0.1" not in str(model.served)
    server.version, server.text_only = None, True
    assert found(server, loaded_llama).served == Served(NAME, "fp-7", "tokenised again", 200)
    server.room = 1000  # more than the checkpoint has: no answer depends on it
    assert (found(server, loaded_llama).served.context, found(server, loaded_llama).lexicon.context) == (None, 256)
    long = replace(loaded_llama.lexicon, context=1 << 17)
    for server.room, told in ((8192, None), (2056, 2056), (2057, None)):  # the longest prompt has 2048 tokens
        assert find_served([model.endpoint], [NAME], long, 9).served.context == told
    by_root = find_served([model.endpoint], [f"/models/{NAME}"], loaded_llama.lexicon, 9)
    assert by_root.served.model == NAME


TRANSIENT = {
    "a busy server": Fault(429, {"Retry-After": "0"}),
    "a server in trouble": Fault(500, body=b"oops"),
    "a dropped connection": DEAD,
    "half a reply": Fault(cut=40),
    "no JSON": Fault(body=b"<html>"),
    "JSON of something else": Fault(body=b'{"object": "list"}'),
    "a list": Fault(body=b"[]"),
    "no choice": Fault(body=json.dumps({"model": NAME, "choices": []}).encode()),
    "half a choice": Fault(body=json.dumps({"model": NAME, "choices": [{"index": 0}]}).encode()),
}


@pytest.mark.costly
@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_what_may_go_well_next_time_is_asked_again(
    server: CompletionServer, loaded_llama: LoadedModel, fault: Fault
) -> None:
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 2)
    server.faults[:] = [fault, fault]
    assert drawn(model, prompts) == here(loaded_llama, prompts)
    assert len(server.requests) == 4
    server.faults[:] = [fault] * 6
    with pytest.raises(JobError, match="3 tries in a row") as caught:
        drawn(model, prompts)
    assert "not asked again" in caught.value.remedy
    assert KEY not in str(caught.value)


def broken_off(reply: dict[str, Any]) -> None:
    reply["choices"][0]["finish_reason"] = "abort"


def words_for_ids(reply: dict[str, Any]) -> None:
    reply["choices"][0]["token_ids"] = ["a"]


@pytest.mark.parametrize("alter", [broken_off, words_for_ids])
def test_a_choice_that_is_none_is_asked_for_again(
    server: CompletionServer, loaded_llama: LoadedModel, alter: Callable[[dict[str, Any]], object]
) -> None:
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    server.altered[:] = [alter, alter]
    assert drawn(model, prompts) == here(loaded_llama, prompts)
    assert len(server.requests) == 3


def test_a_server_that_stalls_is_waited_for_a_while_and_given_up(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    """Also one that never ends its reply."""
    model, prompts = found(server, loaded_llama, timeout_s=0.2), prompts_of(loaded_llama, 1)
    model = replace(model, endpoint=replace(model.endpoint, patience=replace(HASTE, tries=99)))
    for fault in (Fault(before_s=0.5), Fault(drip_s=0.05)):
        server.faults[:] = [Fault(500), *[fault] * 3]
        with pytest.raises(JobError, match=r"4 tries in a row"):
            drawn(model, prompts)
    assert model.endpoint.timeout_s < found(server, loaded_llama).endpoint.timeout_s
    patient = find_served([replace(model.endpoint, timeout_s=1.0)], [NAME], loaded_llama.lexicon, 1000)
    assert patient.endpoint.timeout_s == 1001.0


def other_model(reply: dict[str, Any]) -> None:
    reply["model"] = "org/other"


def other_prompt(reply: dict[str, Any]) -> None:
    reply["choices"][0]["prompt_token_ids"] = [1, *reply["choices"][0]["prompt_token_ids"]]


def longer_prompt(reply: dict[str, Any]) -> None:
    """As by a server that echoes nothing and adds a token of its own."""
    del reply["choices"][0]["prompt_token_ids"]
    reply["usage"]["prompt_tokens"] += 1


def other_tokenizer(reply: dict[str, Any]) -> None:
    reply["choices"][0] |= {"text": " Paris", "token_ids": [5, 6, 2], "finish_reason": "stop"}


def larger_vocabulary(reply: dict[str, Any]) -> None:
    reply["choices"][0]["token_ids"][0] = 10**6


def short_of_room(reply: dict[str, Any]) -> None:
    reply["choices"][0] |= {"token_ids": [5], "finish_reason": "length"}


def suddenly_text(reply: dict[str, Any]) -> None:
    del reply["choices"][0]["token_ids"]


OTHERS = {
    other_model: ("a reply of the model org/tiny", "one of 'org/other'"),
    other_prompt: ("echoed", "[1, 1,"),
    longer_prompt: ("read as it is", "one of"),
    other_tokenizer: ("token ids that spell", "which do not"),
    larger_vocabulary: ("token ids that spell", "1000000"),
    short_of_room: ("room for 9 tokens", "cut off after 1"),
    suddenly_text: ("token ids of every response", "only the text"),
}


@pytest.mark.parametrize(("alter", "said"), OTHERS.items(), ids=[alter.__name__ for alter in OTHERS])
def test_a_reply_of_something_else_is_an_error_at_once(
    server: CompletionServer,
    loaded_llama: LoadedModel,
    alter: Callable[[dict[str, Any]], object],
    said: tuple[str, str],
) -> None:
    """It is no answer of the checkpoint; asking again would not mend it."""
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    server.always = alter
    with pytest.raises(InputError) as caught:
        drawn(model, prompts)
    assert said[0] in caught.value.wanted
    assert said[1] in caught.value.found
    assert NAME in caught.value.remedy
    assert len(server.requests) == 1


@pytest.mark.parametrize("alter", [other_model, other_prompt, longer_prompt])
def test_another_model_is_noticed_before_anything_is_asked(
    server: CompletionServer, loaded_llama: LoadedModel, alter: Callable[[dict[str, Any]], object]
) -> None:
    server.always = alter
    with pytest.raises(InputError, match=NAME):
        found(server, loaded_llama)


def test_a_model_that_no_server_lists_is_named_with_those_that_are(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    at = replace(Endpoint.at(server.url, RESPONDENT, {}), patience=HASTE)
    with pytest.raises(InputError, match="--served-model-name org/else") as caught:
        find_served([at, at], ["org/else", "else"], loaded_llama.lexicon, 9)
    assert caught.value.found.count(f"{NAME} at {server.url}") == 2
    for listed in (b"", b"<html>", b"[]", b'{"data": 1}'):
        server.listed = listed
        with pytest.raises(InputError, match="a list of models"):
            find_served([at], [NAME], loaded_llama.lexicon, 9)
    server.listed = b'{"data": [1, {}]}'
    with pytest.raises(InputError, match="a server that serves"):
        find_served([at], [NAME], loaded_llama.lexicon, 9)
    with pytest.raises(JobError, match="refused"):
        find_served([replace(at, url="http://127.0.0.1:9/v1")], [NAME], loaded_llama.lexicon, 9)


def test_the_name_that_comes_first_is_taken_wherever_it_is_served(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    """Not the first model that has any of the names; what is listed without a name is passed over."""
    at = replace(Endpoint.at(server.url, RESPONDENT, {RESPONDENT.key_variable: KEY}), patience=HASTE)
    server.listed = json.dumps({"data": [{"root": NAME}, {"id": "org/other", "root": NAME}, {"id": NAME}]}).encode()
    assert find_served([at], [NAME, "org/other"], loaded_llama.lexicon, 9).served.model == NAME


@pytest.mark.parametrize("version", [None, "0.1.0"])
def test_a_version_that_is_not_told_ends_nothing(
    server: CompletionServer, loaded_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """The address is refused by what stands before the server: the fingerprint of the model is taken instead."""
    true = server.reply

    def refuse(path: str, key: str | None, content: bytes | None) -> tuple[Fault, bytes]:
        return (Fault(403), b"") if path == "/version" and version is None else true(path, key, content)

    monkeypatch.setattr(server, "reply", refuse)
    assert found(server, loaded_llama).served.version == (version or "fp-7")


def counts_in_words(reply: dict[str, Any]) -> None:
    reply["usage"]["completion_tokens"] = "2"


def test_counts_that_are_no_numbers_are_asked_for_again(server: CompletionServer, loaded_llama: LoadedModel) -> None:
    server.text_only = True
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    server.altered = [counts_in_words]
    drawn(model, prompts)
    assert len(server.requests) == 2


def test_half_of_a_character_is_no_answer_and_can_be_stored(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    server.text_only = True
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)

    def say(reply: dict[str, Any]) -> None:
        reply["choices"][0]["text"] = " a\ud83d"

    server.always = say
    [[text]] = drawn(model, prompts)
    assert text == " a?"


def test_a_field_that_the_server_refuses_is_left_out(server: CompletionServer, loaded_llama: LoadedModel) -> None:
    """Stop tokens are cut off here as well; what changes the distribution is never left out."""
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    for name, refused in {"min_p": False, "stop_token_ids": False, "top_k": True}.items():
        server.faults[:] = [Fault(400, body=json.dumps({"error": {"message": "no", "param": name}}).encode())]
        if refused:
            with pytest.raises(InputError, match="HTTP 400"):
                drawn(model, prompts)
        else:
            assert drawn(model, prompts) == here(loaded_llama, prompts)
            assert name not in server.requests[-1]


def test_text_is_tokenised_again_and_left_out_where_it_cannot_be_what_was_sampled(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    """The text survives where the tokenizer spells it as it was sampled, and no other does."""
    server.text_only = True
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 40)
    sampled, tokenizer = here(loaded_llama, prompts), loaded_llama.tokenizer
    kept = 0
    for [truly], [taken] in zip(sampled, drawn(model, prompts), strict=True):
        if isinstance(taken, str):
            assert tokenizer(taken, add_special_tokens=False)["input_ids"] != truly
        else:
            assert taken == truly
            kept += 1
    assert kept > 0
    assert all(request["n"] == 1 for request in server.requests)


LETTERS = [" ", "P", "a", "r", "i", "s"]
SCRIPT = {
    "as the tokenizer spells it": ([" Paris"], "stop", None, True),
    "two tokens where one would do": (LETTERS, "stop", None, False),
    "a character that no token ends": ([" Paris", b"\xe2"], "stop", None, False),
    "cut off at the limit": ([" Paris"] * 9, "length", None, True),
    "cut off at the limit, in fewer tokens": ([*LETTERS, *[" Paris"] * 3], "length", None, False),
    "a server that does not count": (LETTERS, "stop", {}, True),
}  # fmt: skip


@pytest.mark.parametrize("case", SCRIPT, ids=list(SCRIPT))
def test_counts_and_limits_tell_other_tokens_of_the_same_text(
    server: CompletionServer, loaded_llama: LoadedModel, case: str
) -> None:
    """What a server of text sampled, written token by token."""
    pieces, ended, counted, survives = SCRIPT[case]
    text = b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces).decode(errors="replace")
    tokens = len(pieces) + (ended == "stop")

    def say(reply: dict[str, Any]) -> None:
        reply["choices"][0] |= {"text": text, "finish_reason": ended}
        reply["usage"] = {"completion_tokens": tokens} if counted is None else counted

    server.text_only = True
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    server.always = say
    [[taken]] = drawn(model, prompts)
    assert isinstance(taken, list) == survives
    if isinstance(taken, list):
        assert loaded_llama.tokenizer.decode(taken) == text


def test_a_base_model_of_a_text_server_ends_at_the_line(server: CompletionServer, loaded_llama: LoadedModel) -> None:
    server.text_only = True
    model, prompts = found(server, loaded_llama), prompts_of(loaded_llama, 1)
    server.always = lambda reply: reply["choices"][0].update(text=" Paris\nor Rom", finish_reason="length")
    draw = model.prompted(prompts, GREEDY, STOPS | loaded_llama.lexicon.newline_ids)
    assert draw([0], range(1), 0) == [[loaded_llama.tokenizer(" Paris", add_special_tokens=False)["input_ids"]]]
    assert server.requests[-1]["stop"] == ["\n"]
    [[whole]] = drawn(model, prompts)
    assert whole == " Paris\nor Rom"
    assert "stop" not in server.requests[-1]


def asked(model: ServedModel, log: MemoryResponses, count: int = 16) -> list[Response]:
    how = make_protocol(decoding=GREEDY, rounds=rounds_of(2))
    return collect(lambda: Respondent(model.lexicon, model), make_questions(count), how, log, lambda *_: None)


def test_answers_that_do_not_survive_are_counted_and_left_out(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    """Every other question has a second sample whose tokens are not known."""
    server.text_only = True
    model, turns = found(server, loaded_llama), iter(range(100))

    def say(reply: dict[str, Any]) -> None:
        lost = next(turns) in (4, 6)
        reply["choices"][0] |= {"text": " New York", "finish_reason": "stop"}
        reply["usage"] = {"completion_tokens": 9 if lost else 3}

    server.always = say
    responses = asked(model, MemoryResponses(), count=4)
    assert sorted(response.reason for response in responses) == ["", "", LOST, LOST]
    questions = make_questions(4)
    pool = Pool(QuestionSet.of("q", "", [question for question, _ in questions]), tuple(questions), training=True)
    told = funnel("base", pool, responses, [response for response in responses if response.is_answer])
    assert (told.asked, told.answered, told.dropped[LOST], told.consistent["hallucinated"]) == (4, 4, 2, 2)


def test_a_server_that_dies_half_way_is_asked_only_for_what_is_missing(
    server: CompletionServer, loaded_llama: LoadedModel
) -> None:
    model, log = found(server, loaded_llama), MemoryResponses()
    undisturbed = asked(model, MemoryResponses())
    everything = len(server.requests)
    server.requests.clear()
    server.dies_after = everything // 2
    with pytest.raises(JobError, match="tries in a row"):
        asked(model, log)
    done = len(log.batches)
    assert 0 < done < 4
    kept = {response.prompt_ids for response in log.responses()}
    server.dies_after = None
    server.requests.clear()
    assert asked(model, log) == undisturbed
    assert not kept & {tuple(request["prompt"]) for request in server.requests}
    assert len(server.requests) < everything


def test_a_prompt_beyond_the_servers_context_is_not_asked(server: CompletionServer, loaded_llama: LoadedModel) -> None:
    model = found(server, loaded_llama)
    short = replace(model, lexicon=replace(model.lexicon, context=20))
    assert {response.reason for response in asked(short, MemoryResponses(), count=4)} == {"longer than the context"}
    assert server.requests == []
