"""An HTTPS server for tests with a certificate of its own, which answers as it is told and remembers what came."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Manner = Callable[["Call"], tuple[int, dict[str, str]] | None]  # status and headers; None closes the connection


@dataclass
class Call:
    """What came: the headers with small names, and the body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebStub:
    """Where it listens, whose certificate it has, and what came."""

    port: int
    authority: Path
    manner: Manner
    calls: list[Call] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}/hook?x=1"


@contextmanager
def web_stub(folder: Path, manner: Manner = lambda _call: (200, {}), name: str = "localhost") -> Iterator[WebStub]:
    """Listen on a free port of this machine."""
    certificate = _certificate(folder, name)
    stub = WebStub(0, certificate, manner)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            call = Call(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            stub.calls.append(call)
            answer = stub.manner(call)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            for header, value in (*answer[1].items(), ("Content-Length", "0")):
                self.send_header(header, value)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    stub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "web-stub.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
