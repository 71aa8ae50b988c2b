"""Fixtures of the end-to-end ring. README.md says how to run it and what each file tests."""

import os
import pathlib
import re
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import env, proxy as proxies, wire  # noqa: E402
from harness.phone import Phone  # noqa: E402
from harness.ports import Ports  # noqa: E402
from harness.proxy import Options  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "heavy: floods, storms and thousands of calls; a sanitizer run leaves them out"
    )
    config.addinivalue_line(
        "markers", "viaduct: depends on Viaduct's own configuration; skipped against another proxy"
    )
    config.addinivalue_line("markers", "tools(*names): programs without which the test cannot run")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if env.SUT != "viaduct" and item.get_closest_marker("viaduct"):
            item.add_marker(pytest.mark.skip(reason=f"not for {env.SUT}"))
        marker = item.get_closest_marker("tools")
        missing = [tool for tool in (marker.args if marker else ()) if not shutil.which(tool)]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


def pytest_sessionstart(session):
    if env.SUT == "viaduct" and not os.access(env.VIADUCT, os.X_OK):
        pytest.exit(f"{env.VIADUCT} is not there: build it, or set VIADUCT to the binary", returncode=2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """On failure: the end of every output file the test left, and where all of it is."""
    report = (yield).get_result()
    if report.when == "call":
        item.failed_call = report.failed
    folder = getattr(item, "e2e_folder", None)
    if report.failed and folder:
        report.sections.append(("kept in", str(folder)))
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".out", ".err") and path.stat().st_size:
                report.sections.append(
                    (path.name, "\n".join(path.read_text(errors="replace").splitlines()[-30:]))
                )


@pytest.fixture
def ports():
    held = Ports()
    yield held
    held.close()


@pytest.fixture
def folder(request, tmp_path):
    """Where the test leaves its files; pytest keeps those of the last three runs."""
    request.node.e2e_folder = tmp_path
    return tmp_path


@pytest.fixture(scope="module")
def module_folder(request, tmp_path_factory):
    return tmp_path_factory.mktemp(re.sub(r"\W", "_", request.module.__name__))


@pytest.fixture
def start_proxy(folder, ports):
    """start_proxy(**options) runs a proxy of the test's own; at the end it must still be alive and end with
    status 0, unless the test itself ended it."""
    started = []

    def start(*, autostart=True, **options):
        options.setdefault("listeners", proxies.loopback_listeners(ports))
        name = f"proxy{len(started) + 1}"
        (folder / name).mkdir()
        made = proxies.make(Options(**options), folder / name).set_up()
        started.append(made)
        return made.start() if autostart else made

    yield start
    failures = []
    for made in started:
        try:
            if made.process and not made.ended:
                made.stop()
        except AssertionError as failure:
            failures.append(str(failure))
        finally:
            if made.process:
                made.process.kill()
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def shared_proxy(module_folder):
    """One proxy for all tests of a module that need nothing special. Each test takes users of its own."""
    users = tuple(f"u{i}" for i in range(SHARED_USERS))
    with proxies.running(folder=module_folder, users=users) as made:
        made.free_users = list(reversed(users))
        yield made


SHARED_USERS = 64


@pytest.fixture
def proxy(request, shared_proxy):
    request.node.e2e_folder = shared_proxy.folder
    yield shared_proxy
    assert shared_proxy.alive(), shared_proxy.process.tail(60)


@pytest.fixture
def phone():
    """phone(proxy, user, ...) makes a phone that is closed at the end."""
    made = []

    def make(*args, **kinds):
        made.append(Phone(*args, **kinds))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def new_phone(proxy, phone):
    """new_phone(**kinds) is a phone of a user of the shared proxy whom no other test uses."""

    def make(user=None, **kinds):
        return phone(proxy, user or proxy.free_users.pop(), **kinds)

    return make


@pytest.fixture(scope="session")
def wire_site(tmp_path_factory):
    """The proxy of the test_wire_*.py files, with the RFC's timers."""
    with wire.running_site(tmp_path_factory.mktemp("wire_site")) as site:
        yield site


@pytest.fixture(scope="session")
def quick_site(tmp_path_factory):
    """The same with T1 of 10 ms where there is no need for patience, so that a transaction times out in 0.64 s."""
    timers = {"t1": env.slow_ms(10), "t2": env.slow_ms(40), "t4": env.slow_ms(50)}
    with wire.running_site(
        tmp_path_factory.mktemp("quick_site"),
        min_expires_s=1,
        timers=timers,
        proxy={"ring_time": env.slow_ms(1000), "recurse_redirects": True},
    ) as site:
        yield site


def _bench(request, site):
    request.node.e2e_folder = site.proxy.folder
    made = wire.Bench(site)
    yield made
    assert site.proxy.alive(), site.proxy.process.tail(60)
    made.close()


@pytest.fixture
def bench(request, wire_site):
    """What a test needs at the proxy of the test_wire_*.py files."""
    yield from _bench(request, wire_site)


@pytest.fixture
def quick(request, quick_site):
    """The same at the proxy with short timers."""
    yield from _bench(request, quick_site)
