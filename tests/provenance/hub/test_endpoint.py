"""One request over real HTTP: what is asked again, what is an error at once, and where the key goes."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest
from judge_server import JudgeServer, completion, judging
from loopback import Fault

from provenance.errors import InputError, JobError
from provenance.hub.endpoint import JUDGE, LONGEST_REPLY, Endpoint
from provenance.hub.retry import Patience
from provenance.hub.word_judge import said_in

KEY_VARIABLE = JUDGE.key_variable
KEY = "sk-very-secret-0123456789"
PROMPT = 'Question: "Q?"\nRight answers: ["a"]\nAnswer given: "b"\n'
REQUEST = {"model": "judge-1", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0, "max_tokens": 16}
HASTE = Patience(tries=3, first_s=0.01, longest_s=0.02)


@pytest.fixture(scope="module")
def running() -> Iterator[JudgeServer]:
    with judging(lambda *_: "RIGHT") as server:
        yield server


@pytest.fixture
def server(running: JudgeServer) -> JudgeServer:
    for log in (running.faults, running.requests, running.keys, running.paths):
        log.clear()
    return running


def endpoint(server: JudgeServer) -> Endpoint:
    return replace(Endpoint.at(server.url, JUDGE, {KEY_VARIABLE: f" {KEY}\n"}), patience=HASTE, timeout_s=0.5)


def ask(at: Endpoint, stopped: threading.Event | None = None) -> str:
    return at.reply(REQUEST, said_in, stopped or threading.Event())


TRANSIENT = {
    "a busy server": Fault(429, {"Retry-After": "0"}),
    "a server in trouble": Fault(500, body=b"oops"),
    "a gateway without a server": Fault(503, body=b"<html>"),
    "no reply at all": Fault(before_s=0.8),
    "a reply that drips": Fault(drip_s=0.06),
    "half a reply": Fault(cut=20),
    "half a reply of unknown length": Fault(cut=20, headers={"Content-Length": "", "Connection": "close"}),
    "half an error": Fault(502, cut=3, body=b"bad gateway"),
    "no JSON": Fault(body=b"RIGHT"),
    "no text": Fault(body=b"\xff\xfe\x00"),
    "JSON of something else": Fault(body=b'{"object": "list", "data": []}'),
    "a list": Fault(body=b"[1]"),
    "no choice": Fault(body=b'{"choices": []}'),
    "deep nesting": Fault(body=b"[" * 100_000),
    "an endless reply": Fault(body=b" " * (LONGEST_REPLY + (1 << 17))),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_what_may_go_well_next_time_is_asked_again(server: JudgeServer, fault: Fault) -> None:
    server.faults[:] = [fault, fault]
    assert ask(endpoint(server)) == "RIGHT"
    assert server.requests == [REQUEST] * 3
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert set(server.paths) == {"/v1/chat/completions"}


def test_after_so_many_tries_the_job_fails_with_the_servers_words_and_without_the_key(server: JudgeServer) -> None:
    said = b'{"error": {"message": "overloaded\\u001b[31m, key ' + KEY.encode() + b'"}}'
    server.faults[:] = [Fault(503, body=said)] * 3
    with pytest.raises(JobError, match=r"HTTP 503: overloaded \[31m, key \$PROVENANCE_JUDGE_KEY \(3 tries"):
        ask(endpoint(server))
    assert len(server.requests) == 3
    with pytest.raises(JobError, match="refused"):
        ask(replace(endpoint(server), url="http://127.0.0.1:9/v1"))
    assert KEY not in repr(endpoint(server))


PERMANENT = {
    "the key": (Fault(401, body=b'{"error": {"message": "bad key"}}'), "HTTP 401: bad key", f"set {KEY_VARIABLE}"),
    "the licence": (Fault(403), "HTTP 403", f"set {KEY_VARIABLE}"),
    "the model": (Fault(404, body=b"no such model"), "no such model", "--judge-model"),
    "the request": (Fault(400, body=b'{"error": "context too long"}'), "context too long", "see what the server says"),
    "the place": (Fault(307, {"Location": "http://127.0.0.1:9/x"}), "HTTP 307", "http://127.0.0.1:9/x"),
    "half a refusal": (Fault(401, cut=1, body=b"unauthorised"), "HTTP 401", f"set {KEY_VARIABLE}"),
}


@pytest.mark.parametrize(("fault", "found", "remedy"), PERMANENT.values(), ids=PERMANENT)
def test_what_no_repetition_mends_is_an_error_at_once(
    server: JudgeServer, fault: Fault, found: str, remedy: str
) -> None:
    server.faults[:] = [fault]
    with pytest.raises(InputError) as caught:
        ask(endpoint(server))
    assert found in caught.value.found
    assert remedy in caught.value.remedy
    assert len(server.requests) == 1


def test_a_parameter_that_the_server_refuses_is_left_out_from_then_on(server: JudgeServer) -> None:
    no = b'{"error": {"message": "Unsupported parameter", "param": "max_tokens"}}'
    server.faults[:] = [Fault(400, body=no)]
    at = endpoint(server)
    assert (ask(at), ask(at)) == ("RIGHT", "RIGHT")
    assert ["max_tokens" in request for request in server.requests] == [True, False, False]
    server.faults[:] = [Fault(400, body=no)]
    with pytest.raises(InputError, match="Unsupported"):  # no circle
        ask(at)


def test_the_wait_that_a_server_asks_for_is_kept_within_reason(server: JudgeServer) -> None:
    server.faults[:] = [Fault(429, {"retry-after": "1"})]
    begun = time.monotonic()
    assert ask(endpoint(server)) == "RIGHT"
    assert time.monotonic() - begun >= 1
    server.faults[:] = [Fault(429, {"Retry-After": "86400"})]
    with pytest.raises(JobError, match="86,400 s"):
        ask(endpoint(server))


def test_a_stop_ends_the_wait_for_a_reply_that_has_not_begun(server: JudgeServer) -> None:
    """As Ctrl-C does, while a server thinks for an hour."""
    server.faults[:] = [Fault(before_s=3600)]
    stopped = threading.Event()
    threading.Timer(0.2, stopped.set).start()
    with pytest.raises(CancelledError):
        ask(replace(endpoint(server), timeout_s=7200.0), stopped)


def test_a_model_that_says_nothing_has_an_empty_reply(server: JudgeServer) -> None:
    server.faults[:] = [Fault(body=completion(None))]
    assert ask(endpoint(server)) == ""


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8000", "file:///etc/passwd", "ftp://x/v1", "http://", "http://x:0/v1", "http://x:port/v1",
        "http://[::1/v1", "http://me:pass@x/v1", "http://x/v1?key=1", "http://x/v1#a", "http://x/ v1", "http://x/\n",
    ],
)  # fmt: skip
def test_an_address_of_no_web_server_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="--judge"):
        Endpoint.at(url, JUDGE, {})


def test_the_address_may_name_the_whole_path_and_the_key_is_one_line() -> None:
    for path in ("chat/completions", ""):
        assert Endpoint.at(f"https://x/v1/{path}", JUDGE, {}).url == "https://x/v1"
    for key in ("a\nb", "schlüssel"):
        with pytest.raises(InputError, match=KEY_VARIABLE) as caught:
            Endpoint.at("https://x/v1", JUDGE, {KEY_VARIABLE: key})
        assert key not in str(caught.value)
