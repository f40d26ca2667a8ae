"""The written rules of guidelines and protocols: the shipped files (``rulesets``), their contents, their reader."""
