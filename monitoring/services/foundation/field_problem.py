"""What stands against something that a person asks for, said at the field where it was asked."""

from __future__ import annotations


class FieldProblem(Exception):
    """What is asked for cannot be done; ``field`` is where it was asked, ``words`` say why and what to do."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field
        self.words = words
