"""Fixtures of the command line's tests. VIADUCT names the program; build/dev/viaduct when it is not set."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VIADUCT = os.environ.get("VIADUCT", str(ROOT / "build" / "dev" / "viaduct"))


def pytest_sessionstart(session):
    if not os.access(VIADUCT, os.X_OK):
        pytest.exit(f"{VIADUCT} is not there: build it, or set VIADUCT to the binary", returncode=2)


@pytest.fixture
def environment(tmp_path):
    """A home of its own, so that nothing of the user who runs the tests is seen or touched."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("ASAN_", "UBSAN_", "TSAN_", "LSAN_"))}
    return kept | {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def viaduct(environment):
    """viaduct(*arguments, stdin="") runs the program to its end and gives the completed process."""

    def run(*arguments, stdin="", **extra):
        argv = [VIADUCT, *map(str, arguments)]
        options = dict(input=stdin, capture_output=True, text=True, timeout=60, env=environment)
        return subprocess.run(argv, **(options | extra))

    return run


@pytest.fixture
def home_yaml(tmp_path):
    """A configuration of two domains whose store is in the test's folder."""
    path = tmp_path / "home.yaml"
    path.write_text(
        "listeners:\n"
        "  - { transport: udp, address: 127.0.0.1:15060 }\n"
        "domains:\n"
        "  - name: home.example\n"
        "  - { name: work.example, realm: The works }\n"
        f"store: {{ path: {tmp_path}/store/viaduct.db }}\n"
    )
    return path
