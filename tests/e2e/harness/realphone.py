"""What a test may ask of a real phone, whatever its make."""

from . import tone
from .env import poll


class RealPhone:
    """A phone registers at once and speaks a tone of its own pitch as soon as a call is up."""

    writes_at_once = False  # what it hears; else after the call

    def __init__(self, user, proxy, folder, hertz):
        self.user, self.proxy, self.hertz = user, proxy, hertz
        self.folder = folder / user
        self.folder.mkdir()
        tone.write(self.folder / "in.wav", hertz)
        self.process = None

    def recordings(self):
        """Paths of what it has heard so far."""
        raise NotImplementedError

    def forget_recordings(self):
        for path in self.recordings():
            path.unlink(missing_ok=True)

    def log(self):
        """What it says about the messages it sent and received."""
        raise NotImplementedError

    def close(self):
        self.process.stop(2)

    def hears(self, other, seconds=1.0, within=3):
        """The other phone's tone has been heard for that long; to be asked when the call is over."""
        if not poll(lambda: self.heard_seconds(other) >= seconds, within, every=0.2):
            raise AssertionError(
                f"{self.user} heard {other.hertz} Hz for {self.heard_seconds(other)} s only\n{self.process.tail()}"
            )

    def heard_seconds(self, other):
        return max((tone.heard_seconds(path, other.hertz) for path in self.recordings()), default=0.0)


def talk(one, other):
    """Until each has heard the other for long enough; of who writes down later we know only how long he has spoken."""
    for phone, far in ((one, other), (other, one)):
        if phone.writes_at_once:
            phone.hears(far, 1.2 if far.writes_at_once else 2, within=10)
