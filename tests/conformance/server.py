"""A server process under test: started, waited for until it says where it listens, stopped or killed."""

import queue
import re
import signal
import socket
import subprocess
import threading

READY = re.compile(r"listening on http://.*:(\d+)")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child whose output is read as it comes; a test waits for a line of it, never for a time."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                                        errors="replace")
        self.lines = []   # what it says
        self.errors = []  # what it complains about
        self.fresh = queue.Queue()
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._read_output, self._read_errors)]
        for reader in self.readers:
            reader.start()

    def _read_output(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self.fresh.put(line)
        self.fresh.put(None)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def wait_for(self, pattern, timeout_s):
        """The match of the first line that has the pattern. RuntimeError when there is none in time."""
        while True:
            try:
                line = self.fresh.get(timeout=timeout_s)
            except queue.Empty:
                line = None
            if line is None:
                raise RuntimeError(f"{pattern!r} never came.\n" + self.report())
            match = re.search(pattern, line)
            if match:
                return match

    def wait(self, timeout_s):
        code = self.process.wait(timeout_s)
        for reader in self.readers:
            reader.join(timeout_s)
        return code

    def kill(self):
        self.process.kill()
        self.wait(STOP_TIMEOUT_S)

    def output(self):
        return "\n".join(self.lines)

    def report(self):
        """Its last words, for a test that failed."""
        return "\n".join("  | " + line for line in self.lines[-20:] + self.errors[-60:])


class Server(Process):
    """`dispatch serve` with the given options; `url` is where it listens."""

    def __init__(self, binary, key, *options, port=0):
        super().__init__([binary, "serve", "--listen", f"127.0.0.1:{port}", "--api-key", key, *options])
        try:
            self.port = int(self.wait_for(READY, START_TIMEOUT_S).group(1))
        except BaseException:
            self.process.kill()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        """As an operator stops it. Its exit code; a sanitizer's report is one of its failures."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1
