"""Phones that repeat what is lost, as RFC 3261 sections 13.3.1.4 and 17 have it, and a hop that loses datagrams.

Everything happens in one loop, `Town.run`. What the hop loses is decided by the seed, the call, the direction, the kind of message and
the number of its copy, and by nothing else: not by the order in which a busy machine gets things done.
"""

import heapq
import itertools
import random
import select
import socket
import time

from .env import patience
from .phone import Dialog, Phone
from .sip import Message

T1_S, T2_S = 0.05, 0.4
INVITE_COPIES = 7  # by Timer A, until Timer B: 0, 1, 3, 7, 15, 31, 63 T1
OTHER_COPIES = 11  # Timers E, G and the 2xx of a UAS: 0, 1, 3, 7, 15, 23 ... 63 T1, with T2 of 8 T1
RING_S = 4 * T1_S
LAST_ANSWER_S = 2  # a phone here waits for the answer to its last copy a little longer than it must


class Hop:
    """Between one phone and the proxy. The phone sends to `near`, the proxy to `far`; of every kind of message each copy is lost with
    the same probability. records: {(Call-ID, direction, kind): [(when, passed on)]}."""

    def __init__(self, proxy_address, phone_address, loss, seed):
        self.proxy_address, self.phone_address = proxy_address, phone_address
        self.loss, self.seed = loss, seed
        self.near, self.far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self.near, self.far):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        self.records = {}

    def files(self):
        return {
            self.near.fileno(): lambda: self._carry(self.near, self.far, self.proxy_address, "up"),
            self.far.fileno(): lambda: self._carry(self.far, self.near, self.phone_address, "down"),
        }

    def _carry(self, source, out, to, direction):
        while True:
            try:
                octets = source.recv(65535)
            except (BlockingIOError, ConnectionError):
                return
            if octets.strip(b"\r\n\0") and self._passes(Message.parse(octets), direction):
                out.sendto(octets, to)

    def _passes(self, message, direction):
        kind = f"{message.status} {message.method}" if message.status else message.method
        copies = self.records.setdefault((message.call_id, direction, kind), [])
        fate = random.Random(f"{self.seed} {message.call_id} {direction} {kind} {len(copies)}").random()
        copies.append((time.monotonic(), fate >= self.loss))
        return copies[-1][1]

    def copies(self, call_id, direction, *kinds):
        """All copies of these kinds, in the order of their arrival. "INVITE" is the request, "* INVITE" any response to it."""
        return sorted(
            copy
            for (of, way, kind), copies in self.records.items()
            if of == call_id and way == direction and (kind in kinds or f"* {kind.partition(' ')[2]}" in kinds)
            for copy in copies
        )

    def close(self):
        self.near.close()
        self.far.close()


class Repeater:
    """Sends one message until it is told to stop; gave_up() is called when all copies were in vain."""

    def __init__(self, town, send, copies, cap, gave_up):
        self._town, self._send, self._cap, self._gave_up = town, send, cap, gave_up
        self._left, self._interval = copies, T1_S
        self.running = True
        self._tick()

    def stop(self):
        self.running = False

    def _tick(self):
        if not self.running:
            return
        if not self._left:
            self.running = False
            self._gave_up()
            return
        self._left -= 1
        self._send()
        self._town.after(self._interval if self._left else patience(LAST_ANSWER_S), self._tick)
        self._interval = min(2 * self._interval, self._cap or 2 * self._interval)


class Line(Phone):
    """A phone with many calls, which may stand behind a hop; before it takes part in a town it registers past it."""

    hop = town = None

    def stand_behind(self, loss, seed):
        self.hop = Hop(self.proxy.address(), (self.host, self.port), loss, seed)
        return self.hop

    @property
    def contact(self):
        return f"sip:{self.user}@127.0.0.1:{self.hop.far.getsockname()[1]}" if self.hop else super().contact

    def proxy_address(self):
        return self.hop.near.getsockname() if self.hop and self.town else super().proxy_address()

    def _take(self, message, source):
        message.source = source
        if not self.town:
            super()._take(message, source)
            return
        call = self.town.calls.get(message.call_id)
        if call:
            call.got(self, message)


class Call:
    """One call from end to end, seen by both phones. What has become of it: status is what the caller was told; confirmed: his ACK came;
    ended: the BYE was answered. over: nothing more will come of it."""

    def __init__(self, town, call_id, caller, callee, *, refuse=False, callee_hangs_up=False):
        self.town, self.call_id, self.caller, self.callee, self.refuse = town, call_id, caller, callee, refuse
        self.hangs_up, self.waits = (callee, caller) if callee_hangs_up else (caller, callee)
        self.status, self.confirmed, self.ended, self.over = None, False, False, False
        self._near = self._far = self._ack = self._arrived = self._answer = self._answering = self._bye = None
        self._invite = caller.request("INVITE", callee.aor, call_id=call_id)
        self._inviting = self._repeat(caller, lambda: caller.send(self._invite), INVITE_COPIES, None)

    def __repr__(self):
        return f"<{self.call_id}: status {self.status}, confirmed {self.confirmed}, ended {self.ended}>"

    @property
    def good(self):
        return self.status == 486 if self.refuse else self.ended

    def _repeat(self, _, send, copies, cap):
        return Repeater(self.town, send, copies, cap, self._give_up)

    def _give_up(self):
        self.over = True

    def got(self, phone, message):
        if message.method == "BYE":
            self._got_of_bye(phone, message)
        elif phone is self.caller:
            self._caller_got(message)
        elif message.method == "INVITE":
            self._callee_got_invite(message)
        elif message.method == "ACK":
            self._callee_got_ack()

    def _caller_got(self, response):
        self._inviting.stop()
        if response.status < 200:
            return
        if response.status >= 300:
            self.status = self.status or response.status
            self.over = True
            self.caller.send(self.caller.ack_of(self._invite, response))
        elif self.status in (None, 200):
            if not self.status:
                self._near = Dialog(self.caller, self._invite, response, caller=True)
                self._ack = self._near.request("ACK")
                self.status = 200
            self.caller.send(self._ack)  # for every copy of the 2xx: section 13.2.2.4

    def _callee_got_invite(self, invite):
        if self._arrived is None:
            self._arrived = invite
            self.town.after(RING_S, self._answer_it)
        if self._answer is None:
            self.callee.reply(self._arrived, 180)
        elif self.refuse:
            self._answer()

    def _answer_it(self):
        def answer():
            self._sent = self.callee.reply(self._arrived, 486 if self.refuse else 200, contact=not self.refuse)

        self._answer = answer
        self._answering = self._repeat(self.callee, answer, OTHER_COPIES, T2_S)

    def _callee_got_ack(self):
        self._answering.stop()
        if self.refuse or self.confirmed:
            return
        self.confirmed = True
        self._far = Dialog(self.callee, self._arrived, self._sent, caller=False)
        bye = (self._far if self.hangs_up is self.callee else self._near).request("BYE")
        self._bye = self._repeat(self.hangs_up, lambda: self.hangs_up.send(bye), OTHER_COPIES, T2_S)

    def _got_of_bye(self, phone, message):
        if message.status is None:
            phone.reply(message, 200)
        elif message.status >= 200:
            self._bye.stop()
            self.ended = message.status == 200
            self.over = True


class Town:
    """The loop that all phones and hops live in."""

    def __init__(self, *lines):
        self.lines, self.calls = lines, {}
        self._due, self._serial = [], itertools.count()
        for line in lines:
            line.town = self

    def call(self, call_id, *args, **kinds):
        self.calls[call_id] = Call(self, call_id, *args, **kinds)

    def after(self, seconds, what):
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._serial), what))

    def run(self, seconds):
        """Until every call is over; the time is for the worst that may come."""
        files = {}
        for line in self.lines:
            files[line.udp.fileno()] = line._take_datagrams
            if line.hop:
                files.update(line.hop.files())
        poll = select.poll()
        for fileno in files:
            poll.register(fileno, select.POLLIN)
        deadline = time.monotonic() + patience(seconds)
        while not all(call.over for call in self.calls.values()) and time.monotonic() < deadline:
            wait_s = self._due[0][0] - time.monotonic() if self._due else 0.1
            for fileno, _ in poll.poll(max(0, min(wait_s, 0.1)) * 1000):
                files[fileno]()
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
