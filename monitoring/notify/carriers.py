"""What carries messages, by channel; each is used by one thread at a time."""

from __future__ import annotations

from typing import Protocol

from monitoring.notify.gateway import Gateway
from monitoring.notify.mail import Message, compose
from monitoring.notify.relay import Relay, Verdict
from monitoring.notify.webhook import Webhook

EMAIL, WEBHOOK, GATEWAY = "email", "webhook", "gateway"


class Carrier(Protocol):
    """Carries one message at a time to where it belongs."""

    def send(self, message: Message) -> None:
        """Hand it over, or raise."""

    def cut(self) -> None:
        """End what is under way; called by another thread."""

    def close(self) -> None:
        """Let go of what is kept between messages."""

    def verdict(self, problem: Exception) -> Verdict:
        """What a failure says about the message."""


class Mail:
    """E-mail over a kept connection."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.cut, self.close, self.verdict = self.relay.cut, self.relay.close, self.relay.verdict

    def send(self, message: Message) -> None:
        """Raises ``BadAddress``, ``OSError`` or ``smtplib.SMTPException``."""
        self.relay.send(compose(message))


def carriers() -> dict[str, Carrier]:
    """One of each channel."""
    return {EMAIL: Mail(), WEBHOOK: Webhook(), GATEWAY: Gateway()}
