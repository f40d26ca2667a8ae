"""A mail server for tests that behaves as badly as real ones: plain sockets, so that every byte is in our hands."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Manner = Callable[["Visit", str], str | None]  # what it answers to a line; None closes the connection


@dataclass
class Visit:
    """One connection: what was said, and the addresses of the message that is being sent."""

    number: int
    connection: socket.socket
    recipients: list[str] = field(default_factory=list)


def takes_all(visit: Visit, line: str) -> str | None:
    """A server that takes everything."""
    return {"EHLO": "250 stub", "DATA": "354 go on", "QUIT": "221 bye", ".": "250 taken"}.get(line[:4], "250 ok")


@dataclass
class SmtpStub:
    """What arrived, when, and over how many connections."""

    port: int
    manner: Manner
    visits: list[Visit] = field(default_factory=list)
    taken: list[tuple[float, str, str]] = field(default_factory=list)  # when, to whom, the text

    def keys(self) -> list[str]:
        """The key of each message that was taken, in the order of arrival."""
        found = (re.search(r"^X-Alert-Delivery: (\S+)", text, re.MULTILINE) for _at, _to, text in self.taken)
        return [match[1] for match in found if match]

    def subjects(self) -> list[str]:
        found = (re.search(r"^Subject: (.*)", text, re.MULTILINE) for _at, _to, text in self.taken)
        return [match[1].strip() for match in found if match]

    def serve(self, visit: Visit) -> None:
        lines = visit.connection.makefile("rb")
        visit.connection.sendall(b"220 stub\r\n")
        for raw in lines:
            line = raw.decode().strip()
            if line.upper().startswith("RCPT"):
                visit.recipients = [line.partition("<")[2].rstrip(">")]
            answer = self.manner(visit, line.upper()[:4])
            if answer is None:
                return
            if answer.startswith("354"):
                visit.connection.sendall(b"354 go on\r\n")
                text = b"".join(iter(lines.readline, b".\r\n")).decode()
                answer = self.manner(visit, ".")
                if answer is None or answer.startswith("250"):
                    self.taken.append((time.monotonic(), visit.recipients[0], text))
                if answer is None:
                    return
            visit.connection.sendall(answer.encode() + b"\r\n")
            if answer.startswith("221"):
                return


@contextlib.contextmanager
def smtp_stub(manner: Manner = takes_all) -> Iterator[SmtpStub]:
    """A server on a port of its own until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stub = SmtpStub(listener.getsockname()[1], manner)

        def visit(one: Visit) -> None:
            with one.connection, contextlib.suppress(OSError):
                stub.serve(one)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one = Visit(len(stub.visits), listener.accept()[0])
                    stub.visits.append(one)
                    threading.Thread(target=visit, args=(one,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield stub
        listener.shutdown(socket.SHUT_RDWR)


def drips(visit: Visit, line: str) -> str | None:
    """A server that answers each line one byte a tenth of a second, so that no single wait is long."""
    for byte in b"250-":
        visit.connection.sendall(bytes([byte]))
        time.sleep(0.1)
    while True:
        visit.connection.sendall(b"x")
        time.sleep(0.1)
