"""SIPp: one run of a scenario of ../sipp, and the figures it leaves."""

import csv
import dataclasses
import time

from .env import E2E, patience
from .ports import is_bound
from .process import Process

SCENARIOS = E2E / "sipp"
BUFFER_BYTES = 2 << 20


@dataclasses.dataclass(frozen=True)
class Figures:
    calls: int
    succeeded: int
    failed: int
    unexpected: int  # messages the scenario did not expect, in or out of a call
    retransmissions: int  # sent by SIPp, or received


class Sipp:
    """callee_port, domain and the like are keys for [name] in the scenario."""

    def __init__(
        self,
        name,
        scenario,
        folder,
        *,
        port,
        transport,
        calls,
        remote=None,
        rate=10,
        users=None,
        host="127.0.0.1",
        seconds=60,
        **keys,
    ):
        self.folder, self.name, self.seconds = folder, name, seconds
        self._port, self._transport = port, transport
        # It repeats a request after half a second, and counts that: a machine may be too slow for it.
        path = folder / f"{name}.xml"
        path.write_text((SCENARIOS / f"{scenario}.xml").read_text().replace('retrans="500"', f'retrans="{patience(500):.0f}"'))
        argv = ["sipp", "-sf", path, "-nostdin"]
        argv += ["-t", {"udp": "u1", "tcp": "t1"}[transport], "-i", host, "-p", port]
        # Its own default, 64 KiB, overflows in a burst, and SIPp counts what it lost as the proxy's fault.
        argv += ["-buff_size", BUFFER_BYTES]
        argv += ["-m", calls, "-r", rate, "-recv_timeout", f"{patience(10000):.0f}", "-timeout", f"{patience(seconds):.0f}"]
        argv += ["-trace_stat", "-stf", self._stat, "-trace_counts", "-fd", "1"]
        argv += ["-trace_err", "-error_file", folder / f"{name}.errors.out"]
        for key, value in keys.items():
            argv += ["-key", key, value]
        if users:
            path = folder / f"{name}.csv"
            path.write_text("SEQUENTIAL\n" + "".join(";".join(user) + "\n" for user in users))
            argv += ["-inf", path]
        if remote:
            argv.append(remote)
        # -trace_counts names its file after scenario and pid, in the current folder.
        self.process = Process(name, argv, folder, cwd=folder)

    @property
    def _stat(self):
        return self.folder / f"{self.name}.stat.csv"

    @property
    def _counts(self):
        return next(self.folder.glob(f"*_{self.process.pid}_counts.csv"))

    def wait_ready(self):
        """Waits until it can be called; returns itself."""
        deadline = time.monotonic() + patience(10)
        while not is_bound(self._port, self._transport):
            assert self.process.alive() and time.monotonic() < deadline, f"not ready\n{self.process.tail()}"
            time.sleep(0.02)
        return self

    def wait(self):
        """Waits for the end; the figures. A run that did not end by itself fails."""
        status = self.process.wait(self.seconds + 5)
        assert status in (0, 1), f"status {status}\n{self.process.tail()}"
        return self.figures()

    def figures(self):
        total = _last_row(self._stat)
        counts = _last_row(self._counts)
        return Figures(
            calls=int(total["TotalCallCreated"]),
            succeeded=int(total["SuccessfulCall(C)"]),
            failed=int(total["FailedCall(C)"]),
            unexpected=_sum(counts, "_Unexp")
            + int(total["OutOfCallMsgs(C)"])
            + int(total["DeadCallMsgs(C)"]),
            retransmissions=_sum(counts, "_Retrans"),
        )


def _last_row(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]


def _sum(row, suffix):
    return sum(int(value) for name, value in row.items() if name and name.endswith(suffix))
