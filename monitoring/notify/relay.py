"""A kept connection to the mail server, on which a whole message has a deadline.

A receiver that answers one byte at a time never exceeds the wait for one answer. So whoever waits for a message may end
it from outside: the connection is cut, and the sending side gets its error at once instead of being forgotten.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import time
from enum import Enum
from typing import Any

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

IDLE_SECONDS = 10.0  # a connection that was quiet for longer is made anew: the server may have left


class Verdict(Enum):
    """What a failed try says about the message."""

    NOTHING_SENT = "nothing sent"  # it can go again at once
    MAY_HAVE_ARRIVED = "may have arrived"  # its text had left when the connection broke
    REFUSED = "refused"  # the server will not take it, however often it is asked
    SERVER_AWAY = "server away"  # nobody could send anything


class _Session(smtplib.SMTP):
    """Tells which socket it uses, and when the whole text of a message has left."""

    relay: Relay

    def getreply(self) -> tuple[int, bytes]:
        self.relay.uses(self.sock)
        return super().getreply()

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.relay.is_in_data = True
        try:
            return super().data(msg)
        finally:
            self.relay.is_in_data = False

    def send(self, s: Any) -> None:
        super().send(s)
        if self.relay.is_in_data and s not in ("data\r\n", b"data\r\n"):
            self.relay.text_has_left = True


class _SessionOverTls(_Session, smtplib.SMTP_SSL):
    """The same where the connection is TLS from its first byte."""


class _Backend(EmailBackend):
    """Django's backend with sessions that a relay can follow."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        base = _SessionOverTls if self.use_ssl else _Session
        self._of_relay = type("Session", (base,), {"relay": relay})

    @property
    def connection_class(self) -> Any:
        return self._of_relay


class Relay:
    """One connection, used by one thread at a time; ``cut`` may be called by another."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._socket: socket.socket | None = None
        self._used_at = 0.0
        self._is_cut = self._is_connected = False
        self.is_in_data = False
        self.text_has_left = False

    def send(self, mail: EmailMessage) -> None:
        """Hand one message over. Raises ``OSError`` or ``smtplib.SMTPException`` (``verdict`` judges them)."""
        self._is_cut = self._is_connected = self.text_has_left = False
        if self._backend is not None and time.monotonic() - self._used_at > IDLE_SECONDS:
            self.close()
        if self._backend is None:
            self._backend = get_connection()
            if isinstance(self._backend, EmailBackend):
                self._backend = _Backend(self)
        try:
            if isinstance(self._backend, EmailBackend):  # the others write a file of its own for each message
                self._backend.open()
            self._is_connected = True
            self._backend.send_messages([mail])
        except smtplib.SMTPRecipientsRefused:
            raise  # the connection is as good as before
        except BaseException:
            self.close()
            raise
        finally:
            self._used_at = time.monotonic()

    def uses(self, used: socket.socket | None) -> None:
        """Remember the socket, so that it can be cut; one that was cut meanwhile is cut at once."""
        self._socket = used
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """End the try that is under way: whoever waits on the connection gets an error."""
        self._is_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Leave the server; the next message makes a new connection."""
        backend, self._backend, self._socket = self._backend, None, None
        connection = getattr(backend, "connection", None)
        if connection is not None:
            connection.close()  # without a word of farewell, for which a hanging server would let us wait

    def verdict(self, problem: Exception) -> Verdict:
        """What a failure of ``send`` says about the message."""
        match problem:
            case smtplib.SMTPRecipientsRefused(recipients=refused):
                codes = [code for code, _words in refused.values()]
                return Verdict.REFUSED if codes and min(codes) >= 500 else Verdict.NOTHING_SENT
            case smtplib.SMTPDataError(smtp_code=code):
                return Verdict.REFUSED if code >= 500 else Verdict.NOTHING_SENT
            case smtplib.SMTPResponseException():
                return Verdict.SERVER_AWAY  # it speaks to nobody: log-in, greeting, sender
        if self.text_has_left:
            return Verdict.MAY_HAVE_ARRIVED
        return Verdict.NOTHING_SENT if self._is_connected else Verdict.SERVER_AWAY
