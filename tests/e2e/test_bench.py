"""viaduct-bench counts what really happens, and refuses to say what it cannot know."""

import contextlib
import json
import pathlib
import socket
import subprocess
import threading
import time

import pytest

from harness.env import VIADUCT, patience, poll
from harness.ports import is_bound
from harness.process import Process
from harness.proxy import Listener, loopback_listeners
from harness.websocket import certificate

BENCH = pathlib.Path(VIADUCT).with_name("viaduct-bench")
CALLS = 300
STREAMS = ["tcp", "tls", "ws", "wss"]
TO_CALLEES = ["options", "call", "cancel", "refused"]


def bench(*arguments, status=0):
    done = subprocess.run(
        [BENCH, *map(str, arguments)], capture_output=True, text=True, timeout=patience(60), check=False
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


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


@pytest.fixture
def streaming(start_proxy, ports, folder):
    """Listens with every transport, and takes everybody at his word."""
    listeners = loopback_listeners(ports)
    listeners += [Listener(transport, "127.0.0.1", ports.take()) for transport in STREAMS[1:]]
    return start_proxy(
        listeners=listeners, trusted=("127.0.0.0/8",), register_auth=False, call_auth=False,
        extra={"tls": certificate(folder)},
    )


@pytest.mark.parametrize("workload", ["ping", *TO_CALLEES])
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


@pytest.mark.parametrize("transport", STREAMS)
def test_every_unit_of_a_workload_is_completed_over_connections(streaming, transport):
    host, port = streaming.address(transport=transport)
    for workload in ("ping", "register", *TO_CALLEES):
        result = load(f"{host}:{port}", workload, "-t", transport, "-C", 4, "-d", streaming.domain, "-u", 50)
        assert_clean(result)
        assert (result["transport"], result["workload"], result["connections"]) == (transport, workload, 8)
        assert result["retransmissions"] == result["strays"] == 0


def test_callees_that_come_again_at_once_register_again(streaming):
    host, port = streaming.address(transport="ws")
    for _ in range(4):
        assert_clean(load(f"{host}:{port}", "options", "-t", "ws", "-C", 4, "-d", streaming.domain, "-u", 50))


@pytest.mark.parametrize("transport", STREAMS)
def test_idle_connections_are_held_and_what_they_take_is_told(streaming, transport):
    host, port = streaming.address(transport=transport)
    pid = streaming.process.popen.pid
    result = bench("load", "-w", "idle", "-t", transport, "-C", 50, "-W", 0, "-s", 1, "-p", pid, f"{host}:{port}")
    assert (result["connections"], result["dropped"]) == (100, 0)
    assert result["server_pss_bytes"] >= result["server_pss_first_bytes"] > 0


def test_calls_that_ring_all_the_time_ring_beside_the_others(trusting):
    result = load(trusting.hostport, "call", "--ringing", 500, "--pid", trusting.process.popen.pid)
    assert_clean(result)
    assert result["server_pss_ringing_bytes"] > result["server_pss_first_bytes"]
    assert trusting.alive()


def test_an_open_loop_begins_what_it_was_told_to_and_says_what_came_of_it(trusting):
    rate, seconds = 40, patience(3)
    result = bench("load", "-w", "call", "-r", rate, "-W", 0, "-s", seconds, "--force", trusting.hostport)
    # What is under way at the end is not completed.
    assert rate * seconds * 0.75 <= result["completed"] <= rate * seconds
    assert rate * 0.75 <= result["rate"] <= rate
    assert result["p50_us"] <= result["p99_us"] <= result["max_us"]


def test_the_time_of_a_call_is_from_when_it_should_have_begun(trusting):
    """With room for one call of 20 ms at a time, one each 10 ms is half of them too many: they count as not started."""
    result = bench(
        "load", "-w", "call", "-r", 100, "-n", 1, "-a", 20, "-W", 0, "-s", 2, "--force", trusting.hostport
    )
    assert result["not_started"] >= 50
    assert result["p50_us"] >= 20000


def test_a_server_that_refuses_everything_is_a_failure_and_the_report_says_so(start_proxy):
    proxy = start_proxy(register_auth=False, call_auth=True)
    result = bench(
        "load", "-w", "options", "-N", 20, "-W", 0, "-s", patience(20), "--force", "-d", proxy.domain, proxy.hostport, status=1
    )
    assert (result["completed"], result["failed"]) == (0, 20)


def test_a_server_that_takes_no_such_connection_is_69(trusting):
    assert "does not agree" in bench(
        "load", "-t", "tls", "-w", "ping", "-W", 0, "-s", 1, trusting.hostport, status=69
    )


def test_a_challenge_is_answered_more_than_once_with_keep_nonce(start_proxy):
    users = tuple(f"u{i:07}" for i in range(5))
    proxy = start_proxy(users=users, algorithms=("SHA-256",))
    result = load(proxy.hostport, "register", "-d", proxy.domain, "-u", 5, "-P", "secret", "--keep-nonce")
    assert_clean(result)
    assert result["messages"] <= CALLS + 20


def test_a_register_with_credentials_is_challenged_and_then_accepted(start_proxy):
    users = tuple(f"u{i:07}" for i in range(5))
    proxy = start_proxy(users=users, algorithms=("SHA-256",))
    assert_clean(load(proxy.hostport, "register", "-d", proxy.domain, "-u", 5, "-P", "secret"))


def test_without_a_server_everything_times_out_and_nothing_is_completed(ports):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        result = bench("load", "-w", "ping", "-n", 4, "-W", 0, "-s", patience(2), server, status=1)
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


def test_the_bare_refuser_refuses_every_call(folder, ports):
    server = f"127.0.0.1:{ports.take()}"
    refuser = Process("refuser", [BENCH, "refuser", server], folder)
    try:
        assert poll(lambda: is_bound(int(server.rpartition(":")[2]), "udp"), 10)
        result = bench("load", "-w", "call", "-N", CALLS, "-W", 0, "-s", patience(30), "--force", server, status=1)
        assert (result["refused"], result["completed"], result["failed"]) == (CALLS, 0, 0)
    finally:
        refuser.popen.terminate()
        assert refuser.wait(10) == 0


@contextlib.contextmanager
def server_that(answer, ports, *arguments):
    """Its place while a thread runs answer(socket, ...), which ends with what is no request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", ports.take()))
        server.settimeout(patience(30))
        thread = threading.Thread(target=answer, args=(server, *arguments))
        thread.start()
        try:
            yield "127.0.0.1:%d" % server.getsockname()[1]
        finally:
            server.sendto(b"end", server.getsockname())
            thread.join()


def answer_with_loss(server, percent):
    """200 to everything, as a server that wants less (RFC 7339), until it is told to end."""
    while True:
        request, source = server.recvfrom(4096)
        if not request.startswith(b"OPTIONS"):
            return
        told = f';oc={percent};oc-algo="loss";oc-validity=1000;oc-seq={time.time():.5f}'.encode()
        rest = request.partition(b"\r\n")[2].replace(b';oc;oc-algo="loss"', told, 1)
        server.sendto(b"SIP/2.0 200 OK\r\n" + rest, source)


def test_7339_who_obeys_withholds_what_the_server_does_not_want(ports):
    with server_that(answer_with_loss, ports, 40) as place:
        result = bench("load", "-w", "ping", "-r", 400, "-W", 0.5, "-s", 2, "--obey", "--force", place)
    # 40 of 100 requests, of which 80 are thought to begin something (section 7.2): every other one of these.
    assert 300 <= result["withheld"] <= 480
    assert result["withheld"] + result["completed"] >= 700


def test_who_stays_awake_uses_his_whole_core_and_is_served_all_the_same(ports):
    with server_that(answer_with_loss, ports, 0) as place:
        awake, asleep = (bench("load", "-w", "ping", "-r", 200, "-W", 0.3, "-s", 1, "--force", *more, place) for more in (["--awake"], []))
    assert awake["completed"] >= 150 and asleep["completed"] >= 150
    assert awake["own_cpu_share"] > 2 * asleep["own_cpu_share"]


def challenge_twice(server):
    """Each REGISTER without credentials is answered as if it had come twice, the other one after that."""
    while True:
        request, source = server.recvfrom(4096)
        if not request.startswith(b"REGISTER"):
            return
        rest = request.partition(b"\r\n")[2]
        if b"Authorization:" in request:
            server.sendto(b"SIP/2.0 200 OK\r\n" + rest, source)
        else:
            challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=MD5\r\n'
            for _ in range(2):
                server.sendto(b"SIP/2.0 401 Unauthorized\r\n" + challenge + rest, source)
            time.sleep(0.01)


def test_a_challenge_that_comes_twice_is_no_refusal_of_the_credentials(ports):
    with server_that(challenge_twice, ports) as place:
        users = ("-d", "example.com", "-u", 5, "-P", "secret")
        result = bench("load", "-w", "register", "-N", 20, "-n", 1, "-W", 0, "-s", patience(30), "--force", *users, place)
    assert (result["completed"], result["failed"], result["strays"]) == (20, 0, 20)


@pytest.mark.parametrize(
    "arguments",
    [("load",), ("load", "nowhere"), ("load", "-w", "dance", "127.0.0.1:5060"),
     ("load", "-t", "pigeon", "127.0.0.1:5060"), ("load", "-t", "tcp", "-w", "call", "127.0.0.1:5060"),
     ("load", "-w", "idle", "127.0.0.1:5060"), ("tls-server", "127.0.0.1:1"), ("forward", "127.0.0.1:1"),
     ("refuser",), ("sing",)],
)
def test_a_wrong_command_line_is_64(arguments):
    assert "viaduct-bench" in bench(*arguments, status=64)


def run_times_ns(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}


def test_one_peer_is_shared_by_two_workers(start_proxy):
    """A trunk is one address and port: its calls, not its address, are shared out, and none is handled in two places."""
    proxy = start_proxy(trusted=("127.0.0.0/8",), register_auth=False, call_auth=False, workers=2)
    pid = proxy.process.popen.pid
    before = run_times_ns(pid)
    result = bench("load", "-w", "ping", "-N", 6000, "-n", 16, "-W", 0, "-s", patience(30), "--force", proxy.hostport)
    assert (result["completed"], result["strays"], result["unexpected"]) == (6000, 0, 0)
    spent = sorted((time - before.get(task, 0) for task, time in run_times_ns(pid).items()), reverse=True)
    assert spent[1] > 0.66 * spent[0]  # 40 to 60 %
    assert "net.not_steered" not in proxy.log()
