"""Two thousand calls at 200 a second: none fails, nothing unexpected arrives, nothing is sent twice.

Without credentials the callee is addressed directly and the caller's address is trusted; with them the
callers answer the proxy's challenge and the callees are found by the location service.
"""

import pytest

from harness.env import scaled, slow_ms
from harness.sipp import Sipp

pytestmark = [pytest.mark.heavy, pytest.mark.tools("sipp")]

CALLS, RATE, CALLEES = 2000, 200, 20
EXTRA = {"timers": {"t1": slow_ms(500)}}  # as SIPp has it in this run


def run_calls(folder, ports, proxy, transport, caller, users=None, callee_port=None):
    calls = scaled(CALLS, 50)
    callee_port = callee_port or ports.take()
    callee = Sipp("callee", "callee", folder, port=callee_port, transport=transport, calls=calls).wait_ready()
    try:
        made = Sipp(
            "caller",
            caller,
            folder,
            port=ports.take(),
            transport=transport,
            calls=calls,
            rate=RATE,
            remote=proxy.hostport,
            users=users,
            domain=proxy.domain,
            callee_port=callee_port,
        )
        figures = made.wait(), callee.wait()
    finally:
        callee.process.stop()
    for name, seen in zip(("caller", "callee"), figures):
        assert seen.succeeded == calls, (name, seen)
        assert (seen.failed, seen.unexpected, seen.retransmissions) == (0, 0, 0), (name, seen)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_2000_calls_of_a_trusted_caller_to_an_address(transport, start_proxy, folder, ports):
    proxy = start_proxy(trusted=("127.0.0.1",), extra=EXTRA)
    run_calls(folder, ports, proxy, transport, "caller_plain")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_2000_calls_with_digest_to_registered_callees(transport, start_proxy, folder, ports):
    users = [f"user{i}" for i in range(CALLEES)]
    # SIPp answers the first challenge of a response, which is MD5.
    proxy = start_proxy(users=tuple(users), extra=EXTRA)
    logins = [(user, f"[authentication username={user} password=secret]") for user in users]
    callee_port = ports.take()
    registrations = Sipp(
        "register",
        "register",
        folder,
        port=ports.take(),
        transport=transport,
        calls=CALLEES,
        rate=50,
        remote=proxy.hostport,
        users=logins,
        domain=proxy.domain,
        callee_port=callee_port,
    )
    seen = registrations.wait()
    assert (seen.succeeded, seen.failed, seen.unexpected) == (CALLEES, 0, 0)
    pairs = [(*login, users[(i + 7) % CALLEES]) for i, login in enumerate(logins)]
    run_calls(folder, ports, proxy, transport, "caller_digest", pairs, callee_port)
