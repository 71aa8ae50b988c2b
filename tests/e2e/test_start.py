"""Starting: ports that are taken, wildcard addresses, the built-in default, and the log level at run time."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
from harness import env
from harness.env import patience

pytestmark = pytest.mark.viaduct


def run_config(folder, text, name="other"):
    """Runs a server until it ends by itself; its status and what it said."""
    path = folder / f"{name}.yaml"
    path.write_text(text)
    done = subprocess.run([env.VIADUCT, "run", "--config", path], capture_output=True, text=True, timeout=patience(10))
    return done.returncode, done.stderr


def one_listener(address, store, transport="udp"):
    return (
        f'listeners: [ {{ transport: {transport}, address: "{address}" }} ]\n'
        f"domains: [ {{ name: other.test }} ]\nstore: {{ path: {store} }}\n"
    )


@pytest.mark.parametrize("transport", ("udp", "tcp"))
def test_a_port_in_use_is_an_error_although_workers_share_theirs(start_proxy, folder, transport):
    proxy = start_proxy()
    status, said = run_config(folder, one_listener(proxy.hostport, folder / "other.db", transport))
    assert status == os.EX_UNAVAILABLE
    assert proxy.hostport in said and "in use" in said


def test_an_address_of_another_machine_is_an_error(folder):
    status, said = run_config(folder, one_listener("192.0.2.77:5060", folder / "other.db"))
    assert status == os.EX_UNAVAILABLE
    assert "192.0.2.77:5060" in said


def test_a_store_in_use_is_an_error(start_proxy, folder, ports):
    proxy = start_proxy()
    status, said = run_config(folder, one_listener(f"127.0.0.1:{ports.take()}", proxy.store))
    assert status == os.EX_CANTCREAT
    assert "in use by another process" in said


class Started:
    """A server that the test starts by itself, without a configuration of the harness."""

    def __init__(self, argv, folder, **environment):
        self.err = folder / "started.err"
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=open(self.err, "w"),
                                        env={**os.environ, **environment})

    def wait_for(self, pattern):
        deadline = time.monotonic() + patience(10)
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(pattern, self.err.read_text())
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in\n{self.err.read_text()}")

    def is_kept_out(self):
        """Whether its port was somebody else's, which ended it."""
        return self.process.wait(patience(10)) == os.EX_UNAVAILABLE and "in use" in self.err.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(patience(10)) == 0


def test_a_wildcard_listens_on_each_address_under_its_own_name(folder, ports):
    """RFC 3261 section 18.1.1: what stands in Via is where responses are to be sent."""
    config = folder / "any.yaml"
    config.write_text(one_listener(f"0.0.0.0:{ports.take()}", folder / "other.db"))
    with Started([env.VIADUCT, "run", "--config", config], folder) as server:
        server.wait_for("start.ready")
        assert re.search(r"start.listening transport=UDP address=127.0.0.1:\d+ host=127.0.0.1 ", server.err.read_text())
        assert "0.0.0.0" not in server.err.read_text()


@pytest.mark.parametrize("alone", ("no", "yes"))
def test_tcp_comes_with_udp_unless_told_otherwise(folder, ports, alone):
    """RFC 3261 section 18.2.1: a server that listens for UDP MUST listen on the same port for TCP."""
    port = ports.take()
    config = folder / "udp.yaml"
    config.write_text(
        f'listeners: [ {{ transport: udp, address: "127.0.0.1:{port}", udp_alone: {alone} }} ]\n'
        f"domains: [ {{ name: other.test }} ]\nstore: {{ path: {folder / 'other.db'} }}\n"
    )
    with Started([env.VIADUCT, "run", "--config", config], folder) as server:
        server.wait_for("start.ready")
        with socket.socket() as sock:
            assert (sock.connect_ex(("127.0.0.1", port)) == 0) == (alone == "no")


def started_alone(argv, folder, **environment):
    """A server on the port of SIP, ready, as soon as nobody else on this machine has it."""
    deadline = time.monotonic() + patience(60)
    while True:
        server = Started(argv, folder, **environment)
        try:
            server.wait_for("start.ready")
            return server
        except AssertionError:
            if time.monotonic() > deadline or not server.is_kept_out():
                raise
        time.sleep(0.5)


def test_without_a_file_it_says_how_to_add_a_user_and_register(folder):
    state = folder / "state"
    with started_alone([env.VIADUCT, "run"], folder, XDG_STATE_HOME=str(state)) as server:
        said = server.err.read_text()
        assert "address=127.0.0.1:5060" in said
        assert "user add" in said and "@localhost" in said
        assert (state / "viaduct" / "viaduct.db").stat().st_mode & 0o077 == 0


def test_signals_change_the_log_level(start_proxy, folder):
    proxy = start_proxy()
    assert "proxy.step" not in proxy.log()
    proxy.process.send(signal.SIGUSR1)
    deadline = time.monotonic() + patience(5)
    while "proxy.step" not in proxy.log() and time.monotonic() < deadline:
        proxy.answers_options()
    assert "now=debug" in proxy.log() and "proxy.step" in proxy.log()
    proxy.process.send(signal.SIGUSR2)
    assert proxy.has_line("now=info")
    proxy.answers_options()  # who was about to say something has said it
    quiet_from = len(proxy.log())
    proxy.answers_options()
    assert "proxy.step" not in proxy.log()[quiet_from:]
