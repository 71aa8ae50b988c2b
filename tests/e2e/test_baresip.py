"""Two baresip phones register with digest and call each other through the proxy."""

import pytest

from harness.baresip import Baresip

pytestmark = pytest.mark.tools("baresip")

ALICE_HERTZ, BOB_HERTZ = 440, 1000


@pytest.fixture
def phones(start_proxy, folder, ports):
    """phones(alice's transport, bob's transport) gives both, registered."""
    made = []

    def make(alice_transport, bob_transport):
        # baresip 1.0 gives up at any challenge that is not MD5.
        proxy = start_proxy(algorithms=("MD5",))
        for user, transport, hertz in (("alice", alice_transport, ALICE_HERTZ), ("bob", bob_transport, BOB_HERTZ)):
            made.append(Baresip(user, proxy, folder, ports, transport=transport, hertz=hertz))
        return [each.registered() for each in made]

    yield make
    for each in made:
        each.close()


def talk(alice, bob):
    alice.dial("bob")
    bob.ringing()
    bob.accept()
    alice.established()
    bob.established()


TRANSPORTS = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
def test_media_flows_both_ways_and_the_caller_hangs_up(phones, transports):
    alice, bob = phones(*transports)
    talk(alice, bob)
    alice.hears(BOB_HERTZ)
    bob.hears(ALICE_HERTZ)
    alice.hang_up()
    bob.closed()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
def test_callee_hangs_up(phones, transports):
    alice, bob = phones(*transports)
    talk(alice, bob)
    bob.hang_up()
    alice.closed()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
def test_callee_rejects(phones, transports):
    alice, bob = phones(*transports)
    alice.dial("bob")
    bob.ringing()
    bob.hang_up()
    assert "486" in alice.closed()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
def test_caller_cancels(phones, transports):
    alice, bob = phones(*transports)
    alice.dial("bob")
    bob.ringing()
    alice.wait_event("CALL_RINGING")
    alice.hang_up()
    bob.closed()
