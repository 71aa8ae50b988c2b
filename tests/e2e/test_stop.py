"""SIGTERM: nothing new is taken, what is under way is finished, the exit status is 0."""

import signal
import time

from harness.env import patience, poll
from harness.phone import answer, cancel, ring


def terminate(proxy, phone):
    """Until it tells the phone so, which is told of requests to the proxy itself: so many that each worker has had one, since
    one may hear of the end a moment after another."""
    proxy.process.send(signal.SIGTERM)
    assert poll(lambda: all(phone.ask(phone.request("OPTIONS", f"sip:{proxy.hostport}")).status == 503 for _ in range(10)), 5)


def ringing(proxy, phone):
    """A call that rings: caller, callee, the INVITE as it was sent and as it arrived."""
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    return alice, bob, *ring(alice, bob)


def test_an_idle_proxy_ends_at_once(start_proxy):
    proxy = start_proxy(drain_s=30)
    started = time.monotonic()
    proxy.ended = True
    proxy.process.send(signal.SIGTERM)
    assert proxy.process.wait(10) == 0
    assert time.monotonic() - started < patience(3)


def test_sigint_ends_it_as_well(start_proxy):
    proxy = start_proxy(drain_s=30)
    proxy.ended = True
    proxy.process.send(signal.SIGINT)
    assert proxy.process.wait(10) == 0


def test_new_requests_get_503_with_retry_after_and_a_call_under_way_is_finished(start_proxy, phone):
    proxy = start_proxy(drain_s=30)
    alice, bob, invite, arrived = ringing(proxy, phone)
    carol = phone(proxy, "carol")
    proxy.ended = True
    terminate(proxy, carol)
    for request in (
        carol.request("OPTIONS", f"sip:{proxy.hostport}"),
        carol.request("INVITE", bob.aor),
        carol.register_request(f"<{carol.contact}>"),
    ):
        refusal = carol.ask(request)
        assert refusal.status == 503
        assert int(refusal["Retry-After"].split(";")[0].split("(")[0]) > 0
    assert proxy.alive()
    answer(alice, bob, invite, arrived)
    assert proxy.process.wait(10) == 0


def test_a_cancel_of_what_is_under_way_still_works(start_proxy, phone):
    proxy = start_proxy(drain_s=30)
    alice, bob, invite, arrived = ringing(proxy, phone)
    proxy.ended = True
    terminate(proxy, alice)
    cancel(alice, bob, invite, arrived)
    assert proxy.process.wait(10) == 0


def test_what_does_not_end_is_left_after_the_grace_time(start_proxy, phone):
    proxy = start_proxy(drain_s=2)
    ringing(proxy, phone)
    started = time.monotonic()
    proxy.ended = True
    proxy.process.send(signal.SIGTERM)
    assert proxy.process.wait(10) == 0
    assert 1.5 < time.monotonic() - started < patience(5)


def test_bindings_survive_a_stop_and_a_start(start_proxy, phone):
    proxy = start_proxy()
    bob = phone(proxy, "bob")
    bob.register()
    proxy.stop()
    proxy.start()
    assert set(bob.fetch()) == {bob.contact}
