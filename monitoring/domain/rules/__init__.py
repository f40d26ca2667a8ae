"""The written rules of guidelines and protocols: the shipped files (``rulesets``), what they may hold, how they are read."""
