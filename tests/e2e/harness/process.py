"""A child process whose output is kept in files, whose life is bounded, and which dies with the test run."""

import ctypes
import os
import signal
import subprocess
import threading

from .env import patience

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """Output of the child goes to <folder>/<name>.out and .err; stdin is a pipe when asked for, else empty.

    pipe_errors: .err is written by a thread of ours, out of reach of the child's own limits.
    """

    def __init__(
        self, name, argv, folder, *, stdin=False, env=None, preexec=None, cwd=None, pipe_errors=False
    ):
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.out_path = folder / f"{name}.out"
        self.err_path = folder / f"{name}.err"
        (folder / f"{name}.cmd").write_text(" ".join(self.argv) + "\n")

        def before_exec():
            _die_with_parent()
            if preexec:
                preexec()

        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE if pipe_errors else err,
                env=env,
                cwd=cwd,
                preexec_fn=before_exec,
            )
        if pipe_errors:
            threading.Thread(target=self._copy_errors, args=(self.popen.stderr,), daemon=True).start()

    def _copy_errors(self, pipe):
        with open(self.err_path, "ab", buffering=0) as err, pipe:
            while octets := os.read(pipe.fileno(), 65536):
                err.write(octets)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def say(self, line):
        """Writes a line to the child's stdin."""
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def wait(self, seconds):
        """Its exit status; kills it and fails if it does not end in time."""
        try:
            return self.popen.wait(patience(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {patience(seconds)} s\n{self.tail()}"
            ) from None

    def send(self, signum):
        if self.alive():
            os.kill(self.pid, signum)

    def stop(self, seconds=5):
        """Asks it to end, insists after a while. Never fails: for cleaning up."""
        self.send(signal.SIGTERM)
        try:
            return self.popen.wait(patience(seconds))
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            if self.popen.stdin:
                self.popen.stdin.close()

    def kill(self):
        self.send(signal.SIGKILL)
        return self.popen.wait()

    def out(self):
        return self.out_path.read_text(errors="replace")

    def err(self):
        return self.err_path.read_text(errors="replace")

    def tail(self, lines=25):
        text = [f"--- {self.name}: {' '.join(self.argv)}"]
        for title, content in (("stdout", self.out()), ("stderr", self.err())):
            if content:
                text.append(f"--- {self.name} {title} (end)")
                text += content.splitlines()[-lines:]
        return "\n".join(text)


def run(name, argv, folder, seconds, **options):
    """Runs a child to its end; returns the finished Process."""
    child = Process(name, argv, folder, **options)
    child.wait(seconds)
    return child
