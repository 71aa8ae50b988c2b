"""viaduct run, as far as the command line goes: start, what is said, signals, exit codes. Calls are for tests/e2e."""

import random
import signal
import socket
import subprocess

import pytest

from conftest import VIADUCT

EX_OK, EX_UNAVAILABLE, EX_CANTCREAT = 0, 69, 73


# Between the ports of tests/e2e, of which some are drawn by the system, and that may run at the same time.
PORTS = range(9910, 10000)


def free_port():
    """One that is free for UDP and TCP."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@pytest.fixture
def run_yaml(tmp_path):
    path = tmp_path / "run.yaml"
    port = free_port()
    path.write_text(
        "workers: 2\n"
        "listeners:\n"
        f"  - {{ transport: udp, address: 127.0.0.1:{port} }}\n"
        f"  - {{ transport: tcp, address: 127.0.0.1:{port} }}\n"
        "domains: [ { name: home.example } ]\n"
        f"store: {{ path: {tmp_path}/store/viaduct.db }}\n"
        "stop: { grace: 1s }\n"
    )
    return path, port


@pytest.fixture
def start(environment):
    started = []

    def start(*arguments):
        process = subprocess.Popen([VIADUCT, "run", *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def read_until(process, word):
    lines = []
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError("".join(lines))


@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGINT))
def test_starts_makes_its_folder_and_stops(start, run_yaml, sig):
    path, _ = run_yaml
    process = start("--config", path)
    read_until(process, "start.ready")
    assert (path.parent / "store" / "viaduct.db").exists()
    process.send_signal(sig)
    assert process.wait(60) == EX_OK


def test_signals_change_the_log_level(start, run_yaml):
    process = start("--config", run_yaml[0])
    read_until(process, "start.ready")
    process.send_signal(signal.SIGUSR1)
    assert "debug" in read_until(process, "log.level")[-1]
    process.send_signal(signal.SIGUSR2)
    assert "info" in read_until(process, "log.level")[-1]
    process.terminate()
    assert process.wait(60) == EX_OK


def test_a_port_that_is_taken(start, run_yaml):
    path, port = run_yaml
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = start("--config", path)
        said = process.stderr.read()
        assert process.wait(60) == EX_UNAVAILABLE
    assert str(port) in said
    assert "Address already in use" in said


def test_a_store_that_is_no_database(start, run_yaml):
    path, _ = run_yaml
    store = path.parent / "store"
    store.mkdir()
    (store / "viaduct.db").write_text("this is not a database, but a text of more than a hundred octets" * 3)
    process = start("--config", path)
    said = process.stderr.read()
    assert process.wait(60) == EX_CANTCREAT
    assert "viaduct.db" in said


def test_without_a_configuration_it_says_how_to_begin(start, environment):
    process = start()
    said = process.stderr.readline() + process.stderr.readline() + process.stderr.readline()
    process.kill()  # port 5060 may be taken on this machine: only what is said first counts
    assert f"Store: {environment['HOME']}/.local/state/viaduct/viaduct.db" in said
    assert "user add alice@localhost" in said
    assert "127.0.0.1:5060" in said
