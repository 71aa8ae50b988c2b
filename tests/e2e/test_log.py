"""What the proxy says on standard error: one line per event, findable by call, and never a credential."""

import json
import re

import pytest
from harness import digest
from harness.phone import call, hang_up

pytestmark = pytest.mark.viaduct

PASSWORD = "correct-horse-battery"
DEBUG = {"log": {"level": "debug", "format": "json"}}


def lines(proxy):
    return [json.loads(line) for line in proxy.log().splitlines()]


def test_each_line_is_one_json_object_with_time_level_and_event(start_proxy, phone):
    proxy = start_proxy(extra=DEBUG)
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    hang_up(*call(alice, bob))
    found = lines(proxy)
    assert found
    for line in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
        assert line["level"] in ("debug", "info", "notice", "warn", "error")
        assert line["event"]


def test_every_line_about_a_request_names_its_call_id_and_branch(start_proxy, phone):
    proxy = start_proxy(extra=DEBUG)
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    near, far = call(alice, bob)
    hang_up(near, far)
    of_the_call = [line for line in lines(proxy) if line.get("call_id") == near.call_id]
    assert of_the_call
    for line in of_the_call:
        assert "z9hG4bK" in line.get("branch", "") + line.get("via", ""), line


def test_credentials_never_reach_the_log(start_proxy, phone):
    proxy = start_proxy(extra=DEBUG, users=(), autostart=False)
    proxy.add_user("alice", PASSWORD)
    proxy.start()
    alice = phone(proxy, "alice", password=PASSWORD)
    request = alice.register_request(f"<{alice.contact}>")
    good = alice.authorize(request, alice.ask(request))
    challenge = alice.ask(alice.register_request())
    wrong = alice.authorize(
        alice.register_request(f"<{alice.contact}>"), challenge, damage={"response": '"0bad0bad"'}
    )
    assert alice.ask(good).status == 200
    assert alice.ask(wrong).status == 401
    said, sent = proxy.log(), digest.parse(good["Authorization"])
    for secret in (PASSWORD, sent["response"], sent["cnonce"], "0bad0bad"):
        assert secret not in said
    assert proxy.has_line(good.call_id)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_stranger_cannot_forge_a_line(start_proxy, phone, log_format):
    proxy = start_proxy(extra={"log": {"level": "debug", "format": log_format}}, call_auth=False)
    stranger = phone(proxy, "stranger")
    for evil in ('x"y', "\x1b[31mred", "a\x7fb", "back\\slash", "\xc2\x85next", "{}", "a=b why=forged"):
        request = stranger.request(
            "INVITE", f"sip:nobody@{proxy.domain}", call_id=evil, headers=[("Subject", evil)]
        )
        stranger.send(request)
        stranger.send(
            request.octets().replace(
                b"Subject: ", b"Subject:\n2026-01-01T00:00:00.000Z notice forged.event\n"
            )
        )
    stranger.pump(0.3)
    assert proxy.answers_options()
    said = proxy.process.err_path.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", said)
    for line in said.splitlines():
        assert re.match(rb'\d{4}-|\{"time":"\d{4}-', line), line
        assert b" forged.event" not in line[:60]
        if log_format == "json":
            json.loads(line)


def test_what_a_stranger_can_trigger_is_limited_and_counted(start_proxy, phone):
    proxy = start_proxy(call_auth=False)
    stranger = phone(proxy, "stranger")
    for _ in range(3000):
        stranger.send(stranger.request("INVITE", f"sip:nobody@{proxy.domain}"))
        stranger.pump(0)
    assert proxy.answers_options()
    assert len(proxy.log().splitlines()) < 1000
