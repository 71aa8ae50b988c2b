"""Chromium without a screen, with two phones of different descent in it: JsSIP and SIP.js (RFC 7118 as pages speak it).

browser/driver.mjs runs it, by playwright-core; this file talks to that in lines of JSON. The microphone is Chromium's own
fake one; RTP between pages is real, and counted.
"""

import itertools
import json
import pathlib
import queue
import shutil
import subprocess
import threading

from .env import E2E, patience

FOLDER = E2E / "browser"
LIBRARIES = ("jssip", "sipjs")


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def missing():
    """Why there can be no browser here, or None. The modules are installed by script/test; here, when it was not run."""
    if not chromium():
        return "not installed: chromium"
    if not shutil.which("node"):
        return "not installed: nodejs"
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        done = subprocess.run(["npm", "ci", "--silent"], cwd=FOLDER, capture_output=True, text=True)
        if done.returncode:
            return f"npm ci in {FOLDER}: {done.stderr.strip()[-300:]}"
    return None


class Browser:
    def __init__(self, folder, certificate=None):
        command = ["node", str(FOLDER / "driver.mjs"), chromium(), *([str(certificate)] if certificate else [])]
        self.errors = pathlib.Path(folder) / "browser.err"
        self._ids = itertools.count(1)
        self._answers = queue.Queue()
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        threading.Thread(target=self._read, daemon=True).start()
        self.origin = self._answer(0, 60)["origin"]

    def _read(self):
        for line in self.process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def _answer(self, number, seconds):
        try:
            answer = self._answers.get(timeout=patience(seconds))
        except queue.Empty:
            raise AssertionError(f"the browser says nothing\n{self.errors.read_text()}") from None
        assert answer, f"the browser died\n{self.errors.read_text()}"
        assert answer["id"] == number
        assert "error" not in answer, f"{answer['error']}\n{self.errors.read_text()[-2000:]}"
        return answer["result"]

    def do(self, action, seconds=30, **what):
        number = next(self._ids)
        self.process.stdin.write(json.dumps({"id": number, "do": action, **what}) + "\n")
        self.process.stdin.flush()
        return self._answer(number, seconds)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(patience(10))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    """One page with one phone, for one user. Each has a browser context, and so a WebSocket and a store, of its own."""

    _names = itertools.count(1)

    def __init__(self, browser, library, proxy, user, *, transport="ws", password="secret"):
        self.browser, self.proxy, self.user = browser, proxy, user
        self.transport, self.password = transport, password
        self.name = f"{user}-{next(self._names)}"
        self._seen = 0
        browser.do("open", page=self.name, library=library)

    @property
    def aor(self):
        return f"sip:{self.user}@{self.proxy.domain}"

    @property
    def server(self):
        return f"{self.transport}://127.0.0.1:{self.proxy.listener(transport=self.transport).port}"

    def run(self, name, *args):
        self.browser.do("run", page=self.name, name=name, args=args)

    def wait(self, event, seconds=10):
        """The next such event, after those that were waited for before."""
        milliseconds = patience(seconds) * 1000
        try:
            self._seen = self.browser.do(
                "wait", seconds + 5, page=self.name, event=event, ms=milliseconds, **{"from": self._seen}
            )
        except AssertionError as error:
            raise AssertionError(f"{self.name} waited for {event}: {self.events()}") from error

    def events(self):
        return self.browser.do("events", page=self.name)

    def packets(self):
        return self.browser.do("ask", page=self.name, name="packets")

    # The phone.
    def start(self):
        account = {"server": self.server, "uri": self.aor, "user": self.user, "password": self.password}
        self.run("start", account)
        return self

    def register(self):
        self.start().wait("registered")
        return self

    def reload(self):
        """As a user does it: the page and its WebSocket go without a word, and the page comes back."""
        self.browser.do("reload", page=self.name)
        self._seen = 0
        return self.register()

    def close(self):
        self.browser.do("close", page=self.name)
