"""A signed POST to a program: what it is about and where to look, never a name, a number or a value of a patient."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable

from django.conf import settings

from monitoring.notify.mail import Message
from monitoring.notify.outside import ForbiddenAddress, Target, resolve
from monitoring.notify.relay import Verdict

TIMEOUT_SECONDS = 10.0
MOST_READ_BYTES = 2000
LATER = (408, 425, 429)  # of what is the caller's fault, these go away by waiting


class NotTaken(OSError):
    """The program has answered, but not that it took the message."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status} {words}".strip())
        self.status = status


def body_of(message: Message) -> bytes:
    """What is sent, as JSON."""
    root = settings.PUBLIC_URL.rstrip("/")
    return json.dumps(
        {
            "id": message.key,
            "event": f"alert.{message.about}",
            "alerts": [{"id": one, "url": f"{root}/alerts/{one}/"} for one in message.alert_ids],
            "centre": message.centre,
            "severity": message.urgency,
            "certainty": message.certainty,
            "message": message.round,
        },
        separators=(",", ":"),
    ).encode()


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over the second of sending, a full stop and the body, in hex."""
    return hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """One call at a time; ``cut`` may be called by another thread."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._is_cut = self._has_left = False

    def send(self, message: Message) -> None:
        """Raises ``OSError`` (``NotTaken`` where the program has answered) and ``ForbiddenAddress``."""
        self._is_cut = self._has_left = False
        body, timestamp = body_of(message), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cml-monitoring",
            "Idempotency-Key": message.key,
            "X-CML-Timestamp": timestamp,
            "X-CML-Signature": f"v1={signature(message.secret, timestamp, body)}",
        }
        connection = _Pinned(resolve(message.address), self._uses)
        try:
            connection.connect()
            connection.request("POST", connection.target.path, body, headers)
            self._has_left = True
            answer = connection.getresponse()
            words = answer.read(MOST_READ_BYTES).decode("utf-8", "replace")
        except http.client.HTTPException as problem:
            raise OSError(f"no answer that is HTTP ({type(problem).__name__})") from problem
        finally:
            self._socket = None
            connection.close()
        if not 200 <= answer.status < 300:  # also no redirect is followed: it could lead inside
            raise NotTaken(answer.status, " ".join(words.split())[:100])

    def _uses(self, used: socket.socket) -> None:
        """Remember the socket from its first byte on, so that it can be cut."""
        self._socket = used
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """End the call that is under way."""
        self._is_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # below TLS, which another thread is using

    def close(self) -> None:
        """Nothing is kept between calls."""

    def verdict(self, problem: Exception) -> Verdict:
        """What a failure says about the message."""
        if isinstance(problem, ForbiddenAddress):
            return Verdict.REFUSED
        if isinstance(problem, NotTaken):
            return Verdict.NOTHING_SENT if problem.status in LATER or problem.status >= 500 else Verdict.REFUSED
        if isinstance(problem, ssl.SSLCertVerificationError):
            return Verdict.REFUSED
        return Verdict.MAY_HAVE_ARRIVED if self._has_left else Verdict.NOTHING_SENT


class _Pinned(http.client.HTTPSConnection):
    """Connects to the address that was judged, and checks the certificate for the name."""

    def __init__(self, target: Target, uses: Callable[[socket.socket], None]) -> None:
        self._tls = ssl.create_default_context(cafile=settings.WEBHOOK_CA_FILE or None)
        super().__init__(target.host, target.port, timeout=TIMEOUT_SECONDS, context=self._tls)
        self.target, self._uses = target, uses

    def connect(self) -> None:
        """Whatever fails here, whoever asked closes the connection, and with it what stands of it."""
        self.sock = socket.create_connection((self.target.ip, self.target.port), TIMEOUT_SECONDS)
        # Known before it shakes hands: a handshake may never end.
        self.sock = self._tls.wrap_socket(
            self.sock, server_hostname=self.target.host, do_handshake_on_connect=False
        )  # fmt: skip
        self._uses(self.sock)
        self.sock.do_handshake()
