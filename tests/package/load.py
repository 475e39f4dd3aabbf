"""Calls that go on while something is done to the hosts, and the application that they reach."""
import contextlib
import threading
import time

import traffic

APP_PORT = 7000
APP = """\
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 512
Server(("0.0.0.0", %d), Echo).serve_forever()
""" % APP_PORT
UNIT = """\
[Unit]
Description=The application
[Service]
ExecStart=/usr/bin/python3 /usr/local/bin/app.py
[Install]
WantedBy=multi-user.target
"""


def install_app(host):
    """An ordinary service of the host, which knows nothing of Mooring."""
    host.write("/usr/local/bin/app.py", APP)
    host.write("/etc/systemd/system/app.service", UNIT)
    host.systemctl("daemon-reload")
    host.systemctl("enable", "--now", "app.service")
    traffic.wait_until(lambda: host.listens(APP_PORT), "the application listens")


class Load:
    """One call after the other, and one connection that stays open throughout."""

    def __init__(self, host, target):
        self._host, self._target = host, target
        self.outcomes = []  # (time, outcome)
        self._is_over = threading.Event()
        self.lasting = host.connect(target.ip, APP_PORT)
        self.exchange()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def exchange(self):
        """The lasting connection still answers."""
        self.lasting.sendall(b"still there?")
        assert traffic.receive_exactly(self.lasting, 12) == b"still there?"

    def _run(self):
        while not self._is_over.is_set():
            began = time.monotonic()
            self.outcomes.append((began, self._host.outcome(self._target.ip, APP_PORT, timeout=10)))
            self._is_over.wait(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.lasting.close()

    def wait_for(self, count=10):
        """So many more calls have been made."""
        goal = len(self.outcomes) + count
        traffic.wait_until(lambda: len(self.outcomes) >= goal, "calls are made")

    @property
    def failures(self):
        return [outcome for _, outcome in self.outcomes if outcome != "served"]

    def summary(self):
        failed = [at for at, outcome in self.outcomes if outcome != "served"]
        span = failed[-1] - failed[0] if failed else 0
        return f"{len(self.outcomes)} calls, {len(failed)} not served within {span:.1f} s: {sorted(set(self.failures))}"
