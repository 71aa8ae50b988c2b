"""linphonec on its command prompt, with files in place of a sound card."""

import os
import re

from .env import poll
from .process import Process
from .realphone import RealPhone

CONFIG = """\
[sip]
sip_port={udp_port}
sip_tcp_port={tcp_port}
sip_tls_port=0
default_proxy=0
register_only_when_network_is_up=0
guess_hostname=0
use_ipv6=0
contact="{user}" <sip:{user}@127.0.0.1:{port}>
[net]
firewall_policy=0
[rtp]
audio_rtp_port={rtp_port}
[proxy_0]
reg_proxy=<sip:{proxy};transport={transport}>
reg_route=<sip:{proxy};transport={transport}>
reg_identity=sip:{user}@{domain}
reg_expires=60
reg_sendregister=1
publish=0
[auth_info_0]
username={user}
passwd=secret
realm={domain}
domain={domain}
[video]
enabled=0
"""


class Linphone(RealPhone):
    def __init__(self, user, proxy, folder, ports, *, transport="udp", hertz=440):
        super().__init__(user, proxy, folder, hertz)
        # linphone keeps its databases there and does not make the folder.
        (self.folder / ".local" / "share" / "linphone").mkdir(parents=True)
        port = ports.take()
        rtp_port = ports.take(4)
        # With both ports set linphone opens neither.
        (self.folder / "rc").write_text(
            CONFIG.format(
                user=user,
                domain=proxy.domain,
                proxy=proxy.hostport,
                transport=transport,
                port=port,
                udp_port=port if transport == "udp" else 0,
                tcp_port=port if transport == "tcp" else 0,
                rtp_port=rtp_port + rtp_port % 2,
            )
        )
        env = {**os.environ, "HOME": str(self.folder)}
        argv = ["linphonec", "-c", self.folder / "rc", "-l", self.folder / "linphone.log", "-d", "6"]
        self.process = Process(user, argv, self.folder, stdin=True, env=env, cwd=self.folder)
        self.process.say("soundcard use files")
        self._read = 0  # so much of the log has been understood

    def recordings(self):
        """Complete only after the call: linphone writes behind."""
        return [self.folder / "heard.wav"]

    def log(self):
        path = self.folder / "linphone.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _wait_state(self, *states, seconds=10):
        """Waits until its log tells of a change to one of these states; what came before is forgotten."""
        pattern = re.compile(rf"moving from state \S+ to \[?Linphone({'|'.join(states)})\b")

        def reached():
            match = pattern.search(self.log(), self._read)
            if match:
                self._read = match.end()
            return match or not self.process.alive()

        if not poll(reached, seconds):
            raise AssertionError(
                f"{self.user} never came to {states}\n{self.process.tail()}\n{self.log()[-4000:]}"
            )

    # What a person does with it.
    def registered(self):
        self._wait_state("RegistrationOk")
        return self

    def dial(self, user):
        self.process.say(f"call sip:{user}@{self.proxy.domain}")

    def rings(self):
        self._wait_state("CallIncomingReceived")

    def hears_ringing(self):
        self._wait_state("CallOutgoingRinging")

    def accept(self):
        self.process.say("answer")

    def hang_up(self):
        """Also: rejects, cancels."""
        self.process.say("terminate")

    def established(self):
        self._wait_state("CallStreamsRunning")
        self.process.say("record heard.wav")
        self.process.say("play in.wav")

    def refused(self):
        self._wait_state("CallError")
        self.closed()

    def closed(self):
        self._wait_state("CallReleased")
