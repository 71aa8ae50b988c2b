"""baresip without screen or sound card, driven over its JSON control port."""

import json
import socket
import time

from . import tone
from .env import patience, poll
from .process import Process
from .realphone import RealPhone

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
    'outbound="sip:{proxy};transport={transport}";regint=60;answermode=manual;audio_codecs=pcmu\n'
)
# To talk to a browser (RFC 8834, RFC 8827): ICE, keys by DTLS, RTP and RTCP on one port.
WEBRTC_CONFIG = """\
rtcp_mux                yes
module                  srtp.so
module                  dtls_srtp.so
module                  ice.so
"""
WEBRTC_ACCOUNT = ";mediaenc=dtls_srtp;medianat=ice"
RTP_PORTS = 8


class Baresip(RealPhone):
    def __init__(
        self, user, proxy, folder, ports, *, transport="udp", hertz=440, webrtc=False, settings="", account="", domain=None
    ):
        """settings: further lines of its configuration; account: further parameters of its account; domain: when not the proxy's."""
        super().__init__(user, proxy, folder, hertz)
        self.domain = domain or proxy.domain
        sip_port = ports.take(2)  # the one after it is for TLS, whether used or not
        rtp_port = ports.take(RTP_PORTS)
        rtp_port += rtp_port % 2
        ctrl_port = ports.take()
        (self.folder / "config").write_text(
            CONFIG.format(
                sip_port=sip_port,
                folder=self.folder,
                rtp_port=rtp_port,
                rtp_last=rtp_port + RTP_PORTS - 2,
                ctrl_port=ctrl_port,
            )
            + (WEBRTC_CONFIG if webrtc else "")
            + settings
        )
        self.tls_port = sip_port + 1
        self.hostport = f"127.0.0.1:{sip_port}"
        host, port = proxy.address(transport=transport)
        line = ACCOUNT.format(
            user=user, domain=self.domain, transport=transport, proxy=f"{host}:{port}"
        )
        (self.folder / "accounts").write_text(line.rstrip("\n") + (WEBRTC_ACCOUNT if webrtc else "") + account + "\n")
        tone.write(self.folder / "alert.wav", 300, 1)
        self.process = Process(user, ["baresip", "-s", "-f", self.folder, "-t", "60"], self.folder)
        self._control = None
        self._buffer = b""
        self._events = []
        self._connect(ctrl_port)

    def _connect(self, port):
        def connected():
            try:
                self._control = socket.create_connection(("127.0.0.1", port), timeout=1)
            except OSError:
                return not self.process.alive()
            return True

        if not poll(connected, 8) or not self._control:
            raise AssertionError(f"baresip did not start\n{self.process.tail()}")

    def close(self):
        if self._control:
            self._control.close()
        super().close()

    writes_at_once = True

    def recordings(self):
        return list(self.folder.glob("dump-*-dec.wav"))

    def log(self):
        """Complete only after close(): baresip does not flush it."""
        return self.process.out()

    # Control port: netstrings of JSON.
    def _command(self, command, params=""):
        message = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._control.sendall(b"%d:%s," % (len(message), message))

    def _read(self, seconds):
        self._control.settimeout(max(0.01, seconds))
        try:
            self._buffer += self._control.recv(65536)
        except TimeoutError:
            return
        while b":" in self._buffer:
            length, _, rest = self._buffer.partition(b":")
            size = int(length)
            if len(rest) < size + 1:
                return
            self._events.append(json.loads(rest[:size]))
            self._buffer = rest[size + 1 :]

    def _wait_event(self, kind, seconds=8):
        """The next event of that type; earlier ones are forgotten."""
        deadline = time.monotonic() + patience(seconds)
        while True:
            for i, event in enumerate(self._events):
                if event.get("type") == kind:
                    del self._events[: i + 1]
                    return event
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.user} saw no {kind}: {self._events}\n{self.process.tail(60)}")
            self._read(deadline - time.monotonic())

    # What a person does with it.
    def _registration_is(self, state):
        """Asks until it is: registration began before the control port was there, its event may be missed."""

        def so():
            self._command("reginfo")
            self._read(1)
            answers = [event["data"] for event in self._events if event.get("token") == "reginfo"]
            return answers and state in answers[-1]

        if not poll(so, 8, every=0.1):
            raise AssertionError(f"the registration of {self.user} is not {state}\n{self.process.tail(60)}")
        self._events = []
        return self

    def registered(self):
        return self._registration_is("OK")

    def not_registered(self):
        return self._registration_is("ERR")

    def dial(self, user):
        self._command("dial", f"sip:{user}@{self.domain}")

    def rings(self):
        self._wait_event("CALL_INCOMING")

    def hears_ringing(self):
        self._wait_event("CALL_RINGING")

    def accept(self):
        self._command("accept")

    def hang_up(self):
        """Also: rejects, cancels."""
        self._command("hangup")

    def established(self):
        self._wait_event("CALL_ESTABLISHED")

    def refused(self):
        reason = self._wait_event("CALL_CLOSED")["param"]
        assert reason.startswith(("486 ", "603 ")), reason  # baresip's way to reject, and linphone's

    def closed(self):
        self._wait_event("CALL_CLOSED")
