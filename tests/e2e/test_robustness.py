"""What a proxy meets once it is left alone: itself as a target, no file descriptors, peers that vanish,
another proxy before or behind it, a listener without state."""

import os
import resource
import socket
import time

import pytest
from harness.env import patience
from harness.phone import answer, call, cancel, hang_up, ring
from harness.proxy import Listener


def cpu_seconds(proxy):
    with open(f"/proc/{proxy.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Itself as a target.


def test_a_contact_that_is_the_proxy_itself_ends_in_an_answer_and_not_in_a_loop(new_phone):
    phone, caller = new_phone(), new_phone()
    assert phone.register(f"<sip:{phone.user}@{phone.proxy.hostport}>").status == 200
    started = time.monotonic()
    response = caller.final(caller.invite(phone.aor))
    # 407: the credentials were used up at the first visit.
    assert response.status in (404, 407, 480, 482, 483)
    assert time.monotonic() - started < patience(2)


def test_rfc5393_a_user_with_many_contacts_at_the_proxy_makes_no_storm(start_proxy, phone):
    proxy = start_proxy(call_auth=False)
    users = [phone(proxy, user) for user in ("alice", "bob", "carol", "dave")]
    for user in users:
        contacts = [f"<sip:{other.user}@{proxy.hostport};x={i}>" for i, other in enumerate(users * 2)]
        assert user.register(*contacts).status == 200
    before = cpu_seconds(proxy)
    response = users[0].final(users[0].invite(users[1].aor, challenged=False), 20)
    assert response.status >= 400
    time.sleep(1)
    assert cpu_seconds(proxy) - before < patience(2)
    assert proxy.answers_options()


# Peers and resources that vanish.


def test_connections_that_are_reset_at_once_do_no_harm(new_phone):
    phone = new_phone(transport="tcp")
    for i in range(200):
        stream = phone.connect()
        request = phone.request("OPTIONS", f"sip:{phone.proxy.hostport}").octets()
        stream.send(request[: len(request) - i % 3] if i % 2 else request * 3)
        stream.reset()
    assert phone.ask(phone.request("OPTIONS", f"sip:{phone.proxy.hostport}")).status == 200


def test_a_callee_who_registered_over_tcp_is_called_by_a_new_connection_when_his_has_gone(new_phone):
    caller, callee = new_phone(), new_phone(transport="tcp")
    assert callee.register().status == 200
    first = callee.stream()
    first.close()
    callee.proxy.catch_up()
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    assert arrived.source[0] == "tcp" and arrived.source[1] is not first
    callee.reply(arrived, 486)
    assert caller.final(invite).status == 486


def test_a_call_survives_the_loss_of_the_callers_connection(new_phone):
    caller, callee = new_phone(transport="tcp"), new_phone(transport="tcp")
    callee.register()
    near, far = call(caller, callee)
    caller.stream().close()
    caller.proxy.catch_up()
    hang_up(far, near)


@pytest.mark.viaduct
def test_without_file_descriptors_it_goes_on_and_does_not_spin(start_proxy, phone):
    proxy = start_proxy()
    user = phone(proxy, "alice", transport="tcp")
    assert user.ask(user.request("OPTIONS", f"sip:{proxy.hostport}")).status == 200
    used = len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
    _, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (used + 1, hard))
    crowd = []
    for _ in range(10):
        crowd.append(socket.create_connection(proxy.address(transport="tcp")))
    before = cpu_seconds(proxy)
    time.sleep(1)
    assert cpu_seconds(proxy) - before < 0.3
    assert proxy.answers_options()
    assert user.ask(user.request("OPTIONS", f"sip:{proxy.hostport}")).status == 200
    for sock in crowd:
        sock.close()
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    late = phone(proxy, "bob", transport="tcp")
    assert late.ask(late.request("OPTIONS", f"sip:{proxy.hostport}")).status == 200


# Another proxy on the way.


def test_a_call_through_two_proxies_stays_on_both_and_can_be_cancelled(start_proxy, phone):
    outer, inner = start_proxy(trusted=("127.0.0.1",), domain="outer.test"), start_proxy(call_auth=False)
    caller, callee = phone(outer, "alice"), phone(inner, "bob")
    assert callee.register().status == 200
    through = [f"<sip:{outer.hostport};lr>", f"<sip:{inner.hostport};lr>"]
    invite, arrived = ring(caller, callee, challenged=False, routes=through)
    assert len(arrived.all("Via")) == 3 and arrived["Max-Forwards"] == "68"
    assert len(arrived.all("Record-Route")) == 2
    near, far = answer(caller, callee, invite, arrived)
    hang_up(far, near)
    cancel(caller, callee, *ring(caller, callee, challenged=False, routes=through))


# A listener without state.


@pytest.fixture
def stateless(start_proxy, ports):
    port = ports.take()
    return start_proxy(
        listeners=[Listener("udp", "127.0.0.1", port, {"mode": "stateless"})], trusted=("127.0.0.1",)
    )


@pytest.mark.viaduct
def test_16_11_a_call_through_a_stateless_listener(stateless, phone):
    caller, callee = phone(stateless, "alice"), phone(stateless, "bob")
    uri = f"sip:bob@{callee.hostport}"
    invite = caller.send(caller.request("INVITE", uri))
    arrived = callee.expect("INVITE")
    caller.expect_nothing(0.2, 100)
    # A retransmission is forwarded again, to the octet the same.
    caller.send(invite)
    assert callee.expect_copies(arrived, 2) == 2
    callee.reply(arrived, 180)
    caller.expect(180)
    callee.reply(arrived, 486)
    refusal = caller.final(invite)
    assert refusal.status == 486
    assert len(refusal.all("Via")) == 1
    acknowledged = callee.expect("ACK")
    assert acknowledged.branch == arrived.branch


@pytest.mark.viaduct
def test_16_11_a_cancel_follows_its_invite(stateless, phone):
    caller, callee = phone(stateless, "alice"), phone(stateless, "bob")
    invite = caller.send(caller.request("INVITE", f"sip:bob@{callee.hostport}"))
    arrived = callee.expect("INVITE")
    cancel = caller.send(caller.cancel_of(invite))
    reached = callee.expect("CANCEL")
    assert reached.branch == arrived.branch
    callee.reply(reached, 200)
    assert caller.final(cancel).status == 200
    callee.reply(arrived, 487)
    assert caller.final(invite).status == 487


@pytest.mark.viaduct
def test_16_11_the_branch_is_the_same_after_a_restart(stateless, phone):
    caller, callee = phone(stateless, "alice"), phone(stateless, "bob")
    invite = caller.send(caller.request("INVITE", f"sip:bob@{callee.hostport}"))
    arrived = callee.expect("INVITE")
    stateless.kill()
    stateless.start()
    caller.send(invite)
    assert callee.expect_copies(arrived, 2) == 2
    callee.reply(arrived, 486)
    assert caller.final(invite).status == 486
