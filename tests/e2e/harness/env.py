"""The knobs of a run, all from the environment (see README.md)."""

import os
import pathlib
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
E2E = ROOT / "tests" / "e2e"
SHARED = ROOT.parent / "shared"

VIADUCT = os.environ.get("VIADUCT", str(ROOT / "build" / "dev" / "viaduct"))
SUT = os.environ.get("SUT", "viaduct")

# Factor on the size of the floods and storms: 1 is the full size, a sanitizer build runs with less.
SCALE = float(os.environ.get("E2E_SCALE", "1"))
# Factor on every patience of the tests, for slow builds and loaded machines. It never makes a test pass that
# would fail on a fast machine: it only says how long a right answer may take.
PATIENCE = float(os.environ.get("E2E_PATIENCE", "1"))


def patience(seconds):
    return seconds * PATIENCE


def slow_ms(milliseconds):
    """A time for the proxy's configuration within which the tests must answer it."""
    return f"{patience(milliseconds):.0f}ms"


def poll(done, seconds, every=0.05):
    """Whether done() became true in time."""
    deadline = time.monotonic() + patience(seconds)
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def scaled(count, least=1):
    return max(least, int(count * SCALE))


def sanitized():
    """Whether the binary carries a sanitizer, so that its memory says nothing."""
    octets = pathlib.Path(VIADUCT).read_bytes()
    return b"__asan_init" in octets or b"__tsan_init" in octets
