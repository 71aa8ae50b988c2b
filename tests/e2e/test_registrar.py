"""The registrar over the wire: RFC 3261 section 10.3 and RFC 3327."""

import math
import time

import pytest

from harness import sip
from harness.env import patience
from harness.phone import bindings

HOME = "127.0.0.1"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_10_3_a_registration_is_listed_in_the_200_and_can_be_fetched(new_phone, transport):
    phone = new_phone(transport=transport)
    ok = phone.register(expires=300)
    assert ok.status == 200
    for listed in (bindings(ok), phone.fetch()):
        assert list(listed) == [phone.contact]
        assert 290 <= int(listed[phone.contact]["expires"]) <= 300


def test_10_2_1_several_contacts_with_q_and_expires_in_one_request(new_phone):
    phone = new_phone()
    a, b, c = (f"sip:{phone.user}@{HOME}:{port}" for port in (1111, 2222, 3333))
    ok = phone.register(f"<{a}>;q=0.3;expires=100", f"<{b}>;q=1.0", f"<{c}>", expires=200)
    assert ok.status == 200
    listed = phone.fetch()
    assert set(listed) == {a, b, c}
    assert (float(listed[a]["q"]), float(listed[b].get("q", "1"))) == (0.3, 1.0)
    # Section 10.2.1.1: the parameter goes before the header.
    assert 90 <= int(listed[a]["expires"]) <= 100
    assert 190 <= int(listed[b]["expires"]) <= 200
    assert 190 <= int(listed[c]["expires"]) <= 200


def test_10_2_1_1_without_any_expires_the_registrar_chooses(new_phone):
    phone = new_phone()
    assert phone.register(expires=None).status == 200
    assert int(phone.fetch()[phone.contact]["expires"]) > 0


def test_10_2_2_expires_0_removes_one_binding_and_leaves_the_others(new_phone):
    phone = new_phone()
    other = f"sip:{phone.user}@{HOME}:4444"
    phone.register(f"<{phone.contact}>", f"<{other}>")
    ok = phone.register(f"<{phone.contact}>;expires=0")
    assert ok.status == 200
    assert set(bindings(ok)) == set(phone.fetch()) == {other}


def test_10_2_2_a_wildcard_with_expires_0_removes_all(new_phone):
    phone = new_phone()
    phone.register(f"<{phone.contact}>", f"<sip:{phone.user}@{HOME}:4444>")
    ok = phone.register("*", expires=0)
    assert ok.status == 200
    assert bindings(ok) == phone.fetch() == {}


@pytest.mark.parametrize(
    "contacts, expires",
    [(["*"], None), (["*"], 60), (["*", "<sip:x@127.0.0.1>"], 0)],
    ids=["no-expires", "expires-60", "with-another"],
)
def test_10_3_step_6_any_other_use_of_the_wildcard_is_refused_with_400(new_phone, contacts, expires):
    phone = new_phone()
    phone.register()
    assert phone.register(*contacts, expires=expires).status == 400
    assert set(phone.fetch()) == {phone.contact}


def test_10_3_step_7_too_brief_an_interval_is_refused_with_423_and_min_expires(new_phone):
    phone = new_phone()
    refusal = phone.register(expires=phone.proxy.options.min_expires_s - 1)
    assert refusal.status == 423
    assert int(refusal["Min-Expires"]) == phone.proxy.options.min_expires_s
    assert phone.fetch() == {}
    assert phone.register(expires=phone.proxy.options.min_expires_s).status == 200


def test_10_3_step_7_a_request_with_one_bad_contact_changes_nothing(new_phone):
    phone = new_phone()
    phone.register()
    good, brief = f"<sip:{phone.user}@{HOME}:1111>;expires=600", f"<sip:{phone.user}@{HOME}:2222>;expires=1"
    assert phone.register(good, brief).status == 423
    assert set(phone.fetch()) == {phone.contact}


def test_10_3_step_7_an_older_cseq_of_the_same_call_id_does_not_update(new_phone):
    phone = new_phone()
    assert phone.register(expires=600, cseq=100).status == 200
    # The challenge already costs one CSeq, so 90 is answered as 91.
    late = phone.register(expires=0, cseq=90)
    assert late.status >= 400
    assert set(phone.fetch()) == {phone.contact}


def test_10_3_step_7_another_call_id_updates_whatever_its_cseq(new_phone):
    phone = new_phone()
    assert phone.register(expires=600, cseq=100).status == 200
    assert phone.register(expires=0, cseq=1, call_id=sip.new_call_id()).status == 200
    assert phone.fetch() == {}


def test_19_1_4_a_contact_is_found_again_by_uri_comparison_not_by_octets(new_phone):
    phone = new_phone()
    phone.register(f"<sip:{phone.user}@{HOME}:1111;transport=udp>", expires=600)
    equal = f"<SIP:%75{phone.user[1:]}@{HOME}:1111;Transport=UDP>"
    assert phone.user.startswith("u")
    ok = phone.register(equal, expires=100)
    assert len(bindings(ok)) == len(phone.fetch()) == 1


def test_10_3_an_expired_binding_is_gone(start_proxy, phone):
    alice = phone(start_proxy(min_expires_s=1), "alice")
    interval_s = math.ceil(patience(1))
    assert alice.register(expires=interval_s).status == 200
    assert list(alice.fetch()) == [alice.contact]
    time.sleep(interval_s + 1.1)
    assert alice.fetch() == {}


def test_10_3_step_2_an_unknown_required_extension_is_refused_with_420(new_phone):
    phone = new_phone()
    refusal = phone.register(headers=[("Require", "e2e-frob, e2e-nitz")])
    assert refusal.status == 420
    assert set(refusal.all("Unsupported")) == {"e2e-frob", "e2e-nitz"}


def test_10_3_step_4_nobody_registers_for_somebody_else(new_phone):
    mallory, victim = new_phone(), new_phone()
    refusal = mallory.register(aor=victim.aor)
    assert refusal.status == 403
    assert victim.fetch() == {}


def test_10_3_step_5_an_address_that_does_not_exist_cannot_be_registered(new_phone):
    phone = new_phone()
    assert phone.register(aor=f"sip:nobody@{phone.domain}").status in (403, 404)


def test_rfc3327_a_path_is_stored_returned_and_becomes_the_route(new_phone):
    edge, caller = new_phone(), new_phone()
    path = f"<sip:{edge.hostport};lr>"
    contact = f"sip:{edge.user}@192.0.2.77:5070"  # not reachable but through the edge
    ok = edge.register(f"<{contact}>", headers=[("Supported", "path"), ("Path", path)])
    assert ok.status == 200
    assert ok.all("Path") == [path]
    invite = caller.invite(edge.aor)
    arrived = edge.expect("INVITE")
    assert arrived.uri == contact
    assert sip.uri_of(arrived["Route"]) == f"sip:{edge.hostport};lr"
    edge.reply(arrived, 486)
    assert caller.final(invite).status == 486


def test_10_3_step_8_a_response_to_a_fetch_lists_all_bindings_of_every_call_id(new_phone):
    desk = new_phone()
    mobile = new_phone(desk.user)
    desk.register()
    mobile.register()
    assert set(desk.fetch()) == set(mobile.fetch()) == {desk.contact, mobile.contact}


def test_registrar_answers_a_retransmission_with_the_same_200(new_phone):
    phone = new_phone()
    challenge = phone.ask(phone.register_request(f"<{phone.contact}>", expires=600))
    request = phone.authorize(phone.register_request(f"<{phone.contact}>", expires=600), challenge)
    ok = phone.ask(request)
    assert ok.status == 200
    phone.send(request)
    assert phone.expect_copies(ok, 2) == 2
    phone.expect_nothing(0.1)


def test_a_removal_is_followed_by_480(new_phone):
    phone, caller = new_phone(), new_phone()
    phone.register()
    phone.register(f"<{phone.contact}>", expires=0)
    invite = caller.invite(phone.aor)
    assert caller.final(invite).status == 480


def test_10_3_step_4_a_third_party_may_register_the_others_of_the_domain(start_proxy, phone):
    proxy = start_proxy(extra={"registrar": {"third_parties": ["alice@Example.test"]}})
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert alice.register(aor=bob.aor).status == 200
    assert list(bob.fetch()) == [alice.contact]
    assert bob.register(aor=alice.aor).status == 403


@pytest.mark.parametrize("rule, status", [("require_supported", 420), ("accept", 200)])
def test_rfc3327_5_3_a_path_that_the_client_says_nothing_of(start_proxy, phone, rule, status):
    alice = phone(start_proxy(extra={"registrar": {"path": rule}}), "alice")
    assert alice.register(headers=[("Path", "<sip:192.0.2.7;lr>")]).status == status


@pytest.mark.parametrize("allowed, status", [("no", 404), ("yes", 200)])
def test_10_3_step_5_who_is_not_among_the_users_where_nobody_is_asked(start_proxy, phone, allowed, status):
    proxy = start_proxy(register_auth=False, extra={"registrar": {"unknown_users": allowed}})
    assert phone(proxy, "stranger").register().status == status
    assert phone(proxy, "alice").register().status == 200
