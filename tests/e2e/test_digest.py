"""Digest authentication over the wire: RFC 3261 section 22, RFC 7616, RFC 8760."""

import base64
import concurrent.futures
import time

import pytest

from harness import digest
from harness.proxy import Listener

ALGORITHMS = ("MD5", "SHA-256", "SHA-512-256")


def test_the_registrar_challenges_with_401_and_every_algorithm_in_order(new_phone):
    phone = new_phone()
    response = phone.ask(phone.register_request(f"<{phone.contact}>"))
    assert response.status == 401
    offered = digest.challenges(response)
    assert tuple(challenge["algorithm"] for challenge in offered) == ALGORITHMS
    for challenge in offered:
        assert challenge["realm"] == phone.domain
        assert challenge["qop"] == "auth"
        assert challenge["nonce"]
        assert challenge.get("stale", "false").lower() == "false"


def test_the_proxy_challenges_with_407_and_proxy_authenticate(new_phone):
    caller, callee = new_phone(), new_phone()
    response = caller.ask(caller.request("INVITE", callee.aor))
    assert response.status == 407
    assert response["WWW-Authenticate"] is None
    assert tuple(challenge["algorithm"] for challenge in digest.challenges(response)) == ALGORITHMS


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8760_each_algorithm_is_accepted(new_phone, algorithm, transport):
    caller, callee = (new_phone(transport=transport) for _ in range(2))
    request = callee.register_request(f"<{callee.contact}>", expires=600)
    assert callee.ask_with_digest(request, algorithm=algorithm).status == 200
    challenge = caller.ask(caller.request("INVITE", callee.aor))
    invite = caller.send(
        caller.authorize(caller.request("INVITE", callee.aor), challenge, algorithm=algorithm)
    )
    callee.reply(callee.expect("INVITE"), 603)
    assert caller.final(invite).status == 603


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_password_is_challenged_again_and_not_called_stale(new_phone, algorithm):
    phone = new_phone(password="wrong")
    response = phone.ask_with_digest(phone.register_request(f"<{phone.contact}>"), algorithm=algorithm)
    assert response.status in (401, 403)
    for challenge in digest.challenges(response):
        assert challenge.get("stale", "false").lower() == "false"


def test_an_unknown_user_gets_the_same_answer_as_a_wrong_password(proxy, phone):
    known, unknown = phone(proxy, "u0", password="wrong"), phone(proxy, "nobody")
    answers = [each.ask_with_digest(each.register_request(f"<{each.contact}>")) for each in (known, unknown)]
    assert answers[0].start == answers[1].start
    assert {name for name, _ in answers[0].headers} == {name for name, _ in answers[1].headers}


def test_a_nonce_that_was_never_issued_is_not_accepted(new_phone):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    challenge = digest.challenges(phone.ask(request))[0]
    for nonce in ("", "x", challenge["nonce"][:-1], challenge["nonce"] + "A", "A" * len(challenge["nonce"])):
        value = digest.credentials(
            {**challenge, "nonce": nonce}, "REGISTER", request.uri, phone.user, "secret"
        )
        forged = phone.register_request(f"<{phone.contact}>").with_(("Authorization", value))
        assert phone.ask(forged).status in (400, 401, 403), nonce


@pytest.mark.parametrize(
    "field, value",
    [
        ("response", '"00000000000000000000000000000000"'),
        ("username", '"somebody"'),
        ("realm", '"elsewhere"'),
        ("nc", "0000000g"),
        ("nc", None),
        ("cnonce", None),
        ("response", None),
        ("nonce", None),
        ("uri", None),
        ("username", None),
        ("realm", None),
        ("algorithm", "SHA-1"),
        ("qop", "auth-int"),
    ],
)
def test_damaged_credentials_never_pass(new_phone, field, value):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    response = phone.ask_with_digest(request, algorithm="MD5", damage={field: value})
    assert response.status in (400, 401, 403), response
    assert phone.fetch() == {}


def test_rfc7616_3_4_a_response_made_for_another_method_does_not_pass(new_phone):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    challenge = digest.challenges(phone.ask(request))[0]
    value = digest.credentials(challenge, "INVITE", request.uri, phone.user, phone.password)
    again = phone.register_request(f"<{phone.contact}>").with_(("Authorization", value))
    assert phone.ask(again).status in (401, 403)


def test_22_4_the_uri_in_the_credentials_need_not_be_the_request_uri(new_phone):
    phone = new_phone()
    response = phone.ask_with_digest(
        phone.register_request(f"<{phone.contact}>"), uri=f"sip:{phone.proxy.hostport}"
    )
    assert response.status == 200


def test_rfc7616_3_4_a_nonce_may_be_used_again_with_the_next_count(new_phone):
    phone = new_phone()
    challenge = phone.ask(phone.register_request(f"<{phone.contact}>"))
    for nc in (1, 2, 3, 10):
        assert (
            phone.ask(phone.authorize(phone.register_request(f"<{phone.contact}>"), challenge, nc=nc)).status
            == 200
        )
    for nc in (10, 3, 1):
        assert (
            phone.ask(phone.authorize(phone.register_request(f"<{phone.contact}>"), challenge, nc=nc)).status
            == 401
        )


def replays(phone, request, value, count):
    """The same credentials in new requests: other Call-ID, branch and source port, so for any worker."""

    def replay(_):
        with type(phone)(phone.proxy, phone.user) as thief:
            copy = thief.request(
                "REGISTER",
                request.uri,
                to=request["To"],
                from_=request["From"],
                headers=[("Contact", f"<sip:thief@{thief.hostport}>"), ("Authorization", value)],
            )
            return thief.ask(copy).status

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(replay, range(count)))


def test_a_replayed_nonce_count_is_rejected_whichever_worker_sees_it(new_phone):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    good = phone.authorize(request, phone.ask(request))
    assert phone.ask(good).status == 200
    assert set(replays(phone, good, good["Authorization"], 12)) == {401}
    assert set(phone.fetch()) == {phone.contact}


def test_credentials_sent_many_times_at_once_are_accepted_once(new_phone):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    good = phone.authorize(request, phone.ask(request))
    statuses = replays(phone, good, good["Authorization"], 16)
    assert sorted(statuses) == [200] + [401] * 15


def test_rfc7616_3_3_an_old_nonce_is_stale_and_the_new_one_works(start_proxy, phone):
    alice = phone(start_proxy(nonce_s=1), "alice")
    request = alice.register_request(f"<{alice.contact}>")
    challenge = alice.ask(request)
    time.sleep(2.2)
    stale = alice.ask(alice.authorize(request, challenge))
    assert stale.status == 401
    fresh = digest.challenges(stale)
    assert {c.get("stale", "").lower() for c in fresh} == {"true"}
    assert fresh[0]["nonce"] != digest.challenges(challenge)[0]["nonce"]
    # The new one is as short-lived: on a slow machine it may be stale, too, when it comes back.
    for _ in range(5):
        request = alice.again(request)
        answer = alice.ask(alice.authorize(request, stale))
        if answer.status == 200:
            return
        stale = answer
    raise AssertionError(f"no new nonce works: {answer}")


def test_22_3_our_credentials_do_not_travel_on(new_phone):
    caller, callee = new_phone(), new_phone()
    callee.register()
    foreign = 'Digest username="x", realm="elsewhere.test", nonce="n", uri="sip:x", response="00"'
    invite = caller.invite(callee.aor, headers=[("Proxy-Authorization", foreign), ("Authorization", foreign)])
    arrived = callee.expect("INVITE")
    # Another proxy's realm is another proxy's business, and Authorization is the UAS's.
    assert arrived.lines("Proxy-Authorization") == [foreign]
    assert arrived.lines("Authorization") == [foreign]
    callee.reply(arrived, 486)
    assert caller.final(invite).status == 486


@pytest.mark.viaduct
def test_a_domain_may_ask_for_no_credentials(start_proxy, phone):
    proxy = start_proxy(register_auth=False, call_auth=False)
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert bob.ask(bob.register_request(f"<{bob.contact}>", expires=60)).status == 200
    invite = alice.send(alice.request("INVITE", bob.aor))
    bob.reply(bob.expect("INVITE"), 486)
    assert alice.final(invite).status == 486


@pytest.mark.viaduct
def test_a_listener_may_override_what_the_domain_asks(start_proxy, phone, ports):
    strict, open_ = ports.take(), ports.take()
    proxy = start_proxy(
        listeners=[
            Listener("udp", "127.0.0.1", strict),
            Listener("udp", "127.0.0.1", open_, {"auth": {"register": "none", "calls": "none"}}),
        ]
    )
    bob = phone(proxy, "bob")
    request = bob.register_request(f"<{bob.contact}>", expires=60)
    bob.send(request, ("127.0.0.1", open_))
    assert bob.final(request).status == 200
    assert bob.ask(bob.register_request(f"<{bob.contact}>", expires=60)).status == 401
    call = bob.request("INVITE", f"sip:alice@{proxy.domain}")
    bob.send(call, ("127.0.0.1", open_))
    assert bob.final(call).status == 480
    assert bob.ask(bob.request("INVITE", f"sip:alice@{proxy.domain}")).status == 407


def test_22_1_basic_is_neither_offered_nor_accepted(new_phone):
    phone = new_phone()
    request = phone.register_request(f"<{phone.contact}>")
    login = base64.b64encode(f"{phone.user}:{phone.password}".encode()).decode()
    response = phone.ask(request.with_(("Authorization", f"Basic {login}")))
    assert response.status == 401
    assert not [value for value in response.lines("WWW-Authenticate") if not value.startswith("Digest")]


def test_22_2_a_cancel_is_never_challenged(new_phone):
    caller, callee = new_phone(), new_phone()
    callee.register()
    invite = caller.invite(callee.aor)
    callee.reply(callee.expect("INVITE"), 180)
    caller.expect(180)
    assert caller.ask(caller.cancel_of(invite)).status == 200
    callee.reply(callee.expect("CANCEL"), 200)
