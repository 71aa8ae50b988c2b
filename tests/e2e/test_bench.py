"""viaduct-bench counts what really happens, and refuses to say what it cannot know."""

import json
import pathlib
import socket
import subprocess

import pytest

from harness.env import VIADUCT, patience, poll
from harness.ports import is_bound
from harness.process import Process

BENCH = pathlib.Path(VIADUCT).with_name("viaduct-bench")
CALLS = 300


def bench(*arguments, status=0):
    done = subprocess.run(
        [BENCH, *map(str, arguments)], capture_output=True, text=True, timeout=patience(60), check=False
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if status == 0 else done.stderr


def load(server, workload, *options):
    return bench(
        "load", "-w", workload, "-N", CALLS, "-n", 16, "-W", 0, "-s", patience(30), "--force", *options, server
    )


def assert_clean(result):
    assert result["completed"] == CALLS
    bad = {k: result[k] for k in ("failed", "refused", "timeouts", "not_started", "unexpected", "dropped")}
    assert not any(bad.values()), bad


@pytest.fixture
def trusting(start_proxy):
    return start_proxy(trusted=("127.0.0.0/8",), register_auth=False, call_auth=False)


@pytest.mark.parametrize("workload", ["ping", "options", "call"])
def test_every_unit_of_a_workload_is_completed(trusting, workload):
    assert_clean(load(trusting.hostport, workload, "--pid", trusting.process.popen.pid))


def test_calls_that_ring_and_are_held_end_too(trusting):
    result = load(trusting.hostport, "call", "--answer-after", 20, "--hold", 20)
    assert_clean(result)
    assert result["p50_us"] >= 20000


def test_users_register_and_are_called_by_name(trusting, ports):
    callee = f"127.0.0.1:{ports.take()}"
    users = ("-d", trusting.domain, "-u", 100, "--callee", callee)
    assert_clean(load(trusting.hostport, "register", *users))
    assert_clean(load(trusting.hostport, "call", *users))


def test_a_register_with_credentials_is_challenged_and_then_accepted(start_proxy):
    users = tuple(f"u{i:07}" for i in range(5))
    proxy = start_proxy(users=users, algorithms=("SHA-256",))
    assert_clean(load(proxy.hostport, "register", "-d", proxy.domain, "-u", 5, "-P", "secret"))


def test_without_a_server_everything_times_out_and_nothing_is_completed(ports):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        result = bench("load", "-w", "ping", "-n", 4, "-W", 0, "-s", patience(2), server)
        assert result["completed"] == 0
        assert result["retransmissions"] >= 4


def test_the_bare_forwarder_carries_calls_unread(folder, ports):
    server, caller, callee = (f"127.0.0.1:{ports.take()}" for _ in range(3))
    forwarder = Process("forwarder", [BENCH, "forward", server, caller, callee], folder)
    try:
        assert poll(lambda: is_bound(int(server.rpartition(":")[2]), "udp"), 10)
        assert_clean(load(server, "call", "--caller", caller, "--callee", callee))
    finally:
        forwarder.popen.terminate()
        assert forwarder.wait(10) == 0


@pytest.mark.parametrize(
    "arguments",
    [("load",), ("load", "nowhere"), ("load", "-w", "dance", "127.0.0.1:5060"), ("forward", "127.0.0.1:1"), ("sing",)],
)
def test_a_wrong_command_line_is_64(arguments):
    assert "viaduct-bench" in bench(*arguments, status=64)
