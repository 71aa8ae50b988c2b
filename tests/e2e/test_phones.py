"""Real phones register with digest and call each other: baresip baresip, linphone baresip and the other way.

Each phone speaks a tone of its own; the call is good when the other one's recording holds it.
"""

import re

import pytest

from harness import proxy as proxies
from harness.baresip import Baresip
from harness.linphone import Linphone
from harness.ports import Ports
from harness.realphone import talk

pytestmark = pytest.mark.tools("baresip", "linphonec")

PAIRS = [(Baresip, Baresip), (Linphone, Baresip), (Baresip, Linphone)]
TRANSPORTS = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]


SETS = [(kinds, transports) for kinds in PAIRS for transports in TRANSPORTS]


def _name(parameters):
    kinds, transports = parameters
    return "-".join((*(kind.__name__.lower() for kind in kinds), *transports))


@pytest.fixture(scope="module", params=SETS, ids=_name)
def phones(request, module_folder):
    """Caller and callee, registered, for all tests; each must have registered over its own transport."""
    kinds, transports = request.param
    folder = module_folder / _name(request.param)
    folder.mkdir()
    held, made = Ports(), []
    # baresip 1.0 gives up at any challenge that is not MD5: it is known by its User-Agent and offered MD5 alone.
    with proxies.running(folder=folder) as proxy:
        try:
            for user, kind, transport, hertz in zip(("alice", "bob"), kinds, transports, (440, 1000)):
                made.append(kind(user, proxy, folder, held, transport=transport, hertz=hertz))
            yield [each.registered() for each in made]
        finally:
            for each in made:
                each.close()
            held.close()
    for each, transport in zip(made, transports):
        assert re.search(rf"REGISTER [^\n]*\nVia: SIP/2\.0/{transport.upper()} ", each.log())


@pytest.fixture(autouse=True)
def _folder_of_the_set(request, phones):
    request.node.e2e_folder = phones[0].folder.parent


def connect(caller, callee):
    caller.dial("bob")
    callee.rings()
    callee.accept()
    caller.established()
    callee.established()


def over(caller, callee):
    caller.closed()
    callee.closed()


def test_media_flows_both_ways_and_the_caller_hangs_up(phones):
    caller, callee = phones
    for each in phones:
        each.forget_recordings()
    connect(caller, callee)
    talk(caller, callee)
    caller.hang_up()
    over(caller, callee)
    caller.hears(callee)
    callee.hears(caller)


def test_the_callee_hangs_up(phones):
    caller, callee = phones
    connect(caller, callee)
    callee.hang_up()
    over(caller, callee)


def test_the_callee_rejects(phones):
    caller, callee = phones
    caller.dial("bob")
    callee.rings()
    callee.hang_up()
    caller.refused()
    callee.closed()


def test_the_caller_cancels(phones):
    caller, callee = phones
    caller.dial("bob")
    callee.rings()
    caller.hears_ringing()
    caller.hang_up()
    over(caller, callee)
