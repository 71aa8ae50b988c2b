"""No open relay: who may send what where."""

import pytest

from harness import sip
from harness.phone import Dialog, call, hang_up

STRANGER = "<sip:stranger@elsewhere.test>;tag=1"


def elsewhere(phone):
    """A URI of a domain that is not ours: the phone's own address."""
    return f"sip:someone@{phone.hostport}"


def test_an_unknown_user_of_our_domain_is_404(new_phone):
    caller = new_phone()
    assert caller.final(caller.invite(f"sip:nobody@{caller.domain}")).status == 404


def test_a_known_user_without_a_binding_is_480(new_phone):
    caller, callee = new_phone(), new_phone()
    assert caller.final(caller.invite(callee.aor)).status == 480


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "REGISTER", "FROBNICATE"])
def test_a_strangers_request_to_a_foreign_domain_is_challenged(new_phone, method):
    stranger, target = new_phone(), new_phone()
    response = stranger.ask(stranger.request(method, elsewhere(target), from_=STRANGER))
    assert response.status == 407
    target.expect_nothing(0.2)


def test_where_nobody_is_asked_for_a_password_a_stranger_is_refused(start_proxy, phone):
    proxy = start_proxy(call_auth=False)
    stranger, target = phone(proxy, "stranger", domain="elsewhere.test"), phone(proxy, "bob")
    response = stranger.ask(stranger.request("MESSAGE", elsewhere(target), from_=STRANGER))
    assert response.status == 403
    target.expect_nothing(0.2)


def test_a_strangers_request_to_one_of_our_users_is_not_relaying(start_proxy, phone):
    proxy = start_proxy(call_auth=False)
    stranger, bob = phone(proxy, "stranger", domain="elsewhere.test"), phone(proxy, "bob")
    bob.register()
    invite = stranger.send(stranger.request("INVITE", bob.aor))
    bob.reply(bob.expect("INVITE"), 486)
    assert stranger.final(invite).status == 486


def test_an_authenticated_user_may_call_a_foreign_domain(new_phone):
    caller, target = new_phone(), new_phone()
    invite = caller.invite(elsewhere(target))
    target.reply(target.expect("INVITE"), 486)
    assert caller.final(invite).status == 486


def test_a_user_of_ours_is_challenged_before_he_may_call_a_foreign_domain(new_phone):
    caller, target = new_phone(), new_phone()
    response = caller.ask(caller.request("INVITE", elsewhere(target)))
    assert response.status == 407
    target.expect_nothing(0.2)


def test_a_wrong_password_opens_no_relay(new_phone):
    caller, target = new_phone(password="wrong"), new_phone()
    response = caller.ask_with_digest(caller.request("INVITE", elsewhere(target)))
    assert response.status in (403, 407)
    target.expect_nothing(0.2)


def test_a_user_may_not_call_in_the_name_of_another(new_phone):
    caller, victim, target = new_phone(), new_phone(), new_phone()
    request = caller.request("INVITE", elsewhere(target), from_=f"<{victim.aor}>;tag=1")
    assert caller.ask_with_digest(request).status == 403
    target.expect_nothing(0.2)


@pytest.mark.parametrize("from_", [STRANGER, None], ids=["stranger", "user"])
def test_a_route_to_elsewhere_is_relaying_too(new_phone, from_):
    caller, callee, target = new_phone(), new_phone(), new_phone()
    callee.register()
    request = caller.request("MESSAGE", callee.aor, from_=from_, routes=[f"<sip:{target.hostport};lr>"])
    assert caller.ask(request).status in (403, 407)
    target.expect_nothing(0.2)
    callee.expect_nothing(0.1)


def test_a_trusted_address_may_relay_and_another_may_not(start_proxy, phone):
    proxy = start_proxy(trusted=("127.0.0.2",))
    trusted, stranger = phone(proxy, "gw", host="127.0.0.2"), phone(proxy, "gw", host="127.0.0.3")
    target = phone(proxy, "target")
    request = trusted.send(trusted.request("INVITE", elsewhere(target), from_=STRANGER))
    target.reply(target.expect("INVITE"), 486)
    assert trusted.final(request).status == 486
    target.expect("ACK")
    assert stranger.ask(stranger.request("INVITE", elsewhere(target), from_=STRANGER)).status == 407
    target.expect_nothing(0.2)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_requests_in_a_dialog_we_record_routed_need_no_credentials(new_phone, transport):
    caller, callee = new_phone(transport=transport), new_phone(transport=transport)
    callee.register()
    near, far = call(caller, callee)
    assert near.routes and far.routes
    for one, other in ((near, far), (far, near)):
        info = one.request("INFO")
        one.phone.send(info)
        other.phone.reply(other.phone.expect("INFO"), 200)
        assert one.phone.final(info).status == 200
    hang_up(far, near)


def stolen_dialog(phone, route, target):
    """A dialog that never was, with a Route that a stranger may have seen or made up."""
    request = phone.request("INVITE", "sip:x", call_id=sip.new_call_id())
    answer = sip.response_to(request, 200, to_tag="made-up", headers=[("Contact", f"<{elsewhere(target)}>")])
    dialog = Dialog(phone, request, answer, caller=True)
    dialog.routes = [route]
    return dialog


@pytest.mark.parametrize("method", ["BYE", "INVITE", "MESSAGE"])
def test_a_route_that_only_names_the_proxy_opens_no_relay(new_phone, method):
    stranger, target = new_phone(), new_phone()
    made_up = stolen_dialog(stranger, f"<sip:{stranger.proxy.hostport};lr>", target)
    made_up.local = STRANGER
    assert stranger.ask(made_up.request(method)).status == 407
    target.expect_nothing(0.2)


def test_a_route_of_ours_with_one_letter_changed_opens_no_relay(new_phone):
    caller, callee, target = new_phone(), new_phone(), new_phone()
    callee.register()
    near, _ = call(caller, callee)
    token = sip.uri_of(near.routes[0]).removeprefix("sip:").split("@")[0]
    assert token in near.routes[0]
    for position in range(0, len(token), max(1, len(token) // 8)):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        forged = stolen_dialog(caller, near.routes[0].replace(token, changed, 1), target)
        forged.local = STRANGER
        assert caller.ask(forged.request("BYE")).status == 407, changed
    target.expect_nothing(0.2)


def test_a_route_of_ours_opens_no_relay_for_a_new_dialog(new_phone):
    caller, callee, target = new_phone(), new_phone(), new_phone()
    callee.register()
    near, _ = call(caller, callee)
    request = caller.request("INVITE", elsewhere(target), from_=STRANGER, routes=near.routes)
    assert caller.ask(request).status in (403, 407)
    replayed = stolen_dialog(caller, near.routes[0], target)
    replayed.local = STRANGER
    assert caller.ask(replayed.request("MESSAGE")).status in (403, 407)
    target.expect_nothing(0.2)


def test_an_ack_is_no_way_around_the_rules(new_phone):
    stranger, target = new_phone(), new_phone()
    stranger.send(stranger.request("ACK", elsewhere(target), from_=STRANGER))
    stranger.send(
        stranger.request(
            "ACK", elsewhere(target), from_=STRANGER, routes=[f"<sip:{stranger.proxy.hostport};lr>"]
        )
    )
    target.expect_nothing(0.3)
    stranger.expect_nothing(0.1)


def test_16_4_a_phone_on_our_host_at_another_port_is_not_the_proxy(start_proxy, phone):
    proxy = start_proxy(trusted=("127.0.0.1",))
    caller, target = phone(proxy, "caller"), phone(proxy, "target")
    options = caller.send(caller.request("OPTIONS", f"sip:{target.hostport}"))
    target.reply(target.expect("OPTIONS"), 200)
    assert caller.final(options).reason == "Because"
    through = caller.send(
        caller.request("OPTIONS", "sip:nowhere.invalid", routes=[f"<sip:{target.hostport};lr>"])
    )
    arrived = target.expect("OPTIONS")
    assert arrived.all("Route") == [f"<sip:{target.hostport};lr>"]
    target.reply(arrived, 200)
    assert caller.final(through).status == 200
