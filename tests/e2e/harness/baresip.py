"""A real phone: baresip without screen or sound card, driven over its JSON control port."""

import json
import socket
import time

from . import tone
from .env import patience
from .process import Process

CONFIG = """\
sip_listen              127.0.0.1:{sip_port}
net_interface           127.0.0.1
audio_source            aufile,{folder}/in.wav
audio_alert             aufile,{folder}/alert.wav
audio_srate             8000-8000
audio_channels          1
rtp_ports               {rtp_port}-{rtp_last}
snd_path                {folder}
ctrl_tcp_listen         127.0.0.1:{ctrl_port}
module_path             /usr/lib/baresip/modules
module                  g711.so
module                  aufile.so
module                  sndfile.so
module                  uuid.so
module_app              account.so
module_app              menu.so
module_app              ctrl_tcp.so
"""
ACCOUNT = (
    "<sip:{user}@{domain};transport={transport}>;auth_user={user};auth_pass=secret;"
    'outbound="sip:{proxy};transport={transport}";regint=60;answermode={answer};audio_codecs=pcmu\n'
)
RTP_PORTS = 8


class Baresip:
    """Registers at once. hertz is the tone it speaks; what it hears goes to dump-*-dec.wav."""

    def __init__(self, user, proxy, folder, ports, *, transport="udp", answer="manual", hertz=440):
        self.user, self.proxy, self.hertz = user, proxy, hertz
        self.folder = folder / user
        self.folder.mkdir()
        self.sip_port = ports.take(2)  # the one after it is for TLS, whether used or not
        rtp_port = ports.take(RTP_PORTS)
        rtp_port += rtp_port % 2
        self._ctrl_port = ports.take()
        (self.folder / "config").write_text(
            CONFIG.format(sip_port=self.sip_port, folder=self.folder, rtp_port=rtp_port, rtp_last=rtp_port + RTP_PORTS - 2,
                          ctrl_port=self._ctrl_port)
        )  # fmt: skip
        (self.folder / "accounts").write_text(
            ACCOUNT.format(user=user, domain=proxy.domain, transport=transport, proxy=proxy.hostport, answer=answer)
        )
        tone.write(self.folder / "in.wav", hertz)
        tone.write(self.folder / "alert.wav", 300, 1)
        self.process = Process(user, ["baresip", "-s", "-f", self.folder, "-t", "60"], self.folder)
        self._ctrl = None
        self._buffer = b""
        self.events = []
        self._connect()

    def _connect(self):
        deadline = time.monotonic() + patience(8)
        while True:
            try:
                self._ctrl = socket.create_connection(("127.0.0.1", self._ctrl_port), timeout=1)
                return
            except OSError:
                if time.monotonic() > deadline or not self.process.alive():
                    raise AssertionError(f"baresip did not start\n{self.process.tail()}") from None
                time.sleep(0.05)

    def close(self):
        if self._ctrl:
            self._ctrl.close()
        self.process.stop(2)

    # Control.
    def command(self, command, params="", **more):
        message = json.dumps({"command": command, "params": params, "token": command, **more}).encode()
        self._ctrl.sendall(b"%d:%s," % (len(message), message))

    def _read(self, seconds):
        self._ctrl.settimeout(max(0.01, seconds))
        try:
            self._buffer += self._ctrl.recv(65536)
        except TimeoutError:
            return
        while b":" in self._buffer:
            length, _, rest = self._buffer.partition(b":")
            size = int(length)
            if len(rest) < size + 1:
                return
            self.events.append(json.loads(rest[:size]))
            self._buffer = rest[size + 1 :]

    def wait_event(self, kind, seconds=8):
        """The next event of that type; earlier ones are forgotten."""
        deadline = time.monotonic() + patience(seconds)
        while True:
            for i, event in enumerate(self.events):
                if event.get("type") == kind:
                    del self.events[: i + 1]
                    return event
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.user} saw no {kind}: {self.events}\n{self.process.tail(60)}")
            self._read(deadline - time.monotonic())

    # What a person does with it.
    def registered(self, seconds=8):
        """Waits for the registration. It began before the control port was there, so its event may be missed."""
        deadline = time.monotonic() + patience(seconds)
        while time.monotonic() < deadline:
            self.command("reginfo")
            self._read(1)
            answers = [event["data"] for event in self.events if event.get("token") == "reginfo"]
            if answers and "OK" in answers[-1]:
                self.events = []
                return self
            time.sleep(0.1)
        raise AssertionError(f"{self.user} did not register\n{self.process.tail(60)}")

    def dial(self, user):
        self.command("dial", f"sip:{user}@{self.proxy.domain}")

    def ringing(self):
        self.wait_event("CALL_INCOMING")

    def accept(self):
        self.command("accept")

    def hang_up(self):
        self.command("hangup")

    def established(self):
        self.wait_event("CALL_ESTABLISHED")

    def closed(self):
        """The call ended; why, in baresip's words."""
        return self.wait_event("CALL_CLOSED").get("param", "")

    def hears(self, hertz, seconds=1.0, within=10):
        """Waits until the tone has been heard for that long."""
        deadline = time.monotonic() + patience(within)
        heard = 0.0
        while time.monotonic() < deadline:
            heard = max((tone.heard_seconds(path, hertz) for path in self.folder.glob("dump*dec.wav")), default=0.0)
            if heard >= seconds:
                return
            time.sleep(0.2)
        raise AssertionError(f"{self.user} heard {hertz} Hz for {heard} s only\n{self.process.tail()}")
