"""What was read and decided on is no longer what stands."""


class StaleVersionError(Exception):
    """What a person or program read has changed meanwhile; nothing was stored. The message is for its reader."""
