"""`make chaos`: one run, its verdict as the last line and as the exit code."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.faults.chaos.checker import differences, owed_once, repeats
from tests.faults.chaos.choices import Choices
from tests.faults.chaos.faults import leave_out, race, strike
from tests.faults.chaos.senders import MailServer, Senders, post_all
from tests.faults.chaos.service import WHOLE_SECONDS, Service, own_folder, wait
from tests.faults.chaos.world import POISON, TODAY, Sample, crowd, made_up, malformed
from tests.smtp_stub import SmtpStub, smtp_stub

VISIBLE_SECONDS, SENT_SECONDS = 30.0, 45.0
NIGHT_SECONDS = 120.0
SEND_ALL_SECONDS = 1800.0
POISONED = Sample("X-1", POISON, TODAY, None)


def run(choices: Choices) -> int:
    """One run; returns the exit code."""
    chance = random.Random(choices.seed)
    series, others = made_up(choices, chance), crowd(choices)
    order = [sample for one in series for sample in one]
    chance.shuffle(order)
    struck: list[tuple[float, str]] = []
    over = threading.Event()
    mail = MailServer(choices.seed)
    with own_folder(choices) as folder, smtp_stub(mail) as stub:
        service = Service(choices, folder, stub.port)
        try:
            service.begin([*order, *others])
            began = time.monotonic()
            mail.slow_seconds = 0.25 if choices.crowd else 0.0
            post_all(service, [POISONED, *others], choices.seed)
            quarter = len(order) // 4
            senders = Senders(
                service, choices.seed, [*order[: 2 * quarter], *malformed(choices)], order[2 * quarter : 3 * quarter],
                order[3 * quarter :],
            )  # fmt: skip
            for work in (leave_out, race):
                threading.Thread(target=work, args=(service, over), daemon=True).start()
            mail.down_until = time.monotonic() + choices.mail_down_seconds
            while len(struck) < choices.kills or (not choices.kills and senders.are_at_work):
                time.sleep(chance.uniform(0.4, 1.6))
                service.keep_standby()
                fault = chance.choice(choices.faults)
                with contextlib.suppress(OSError, ValueError, IndexError):
                    if choices.kills and strike(service, fault, chance):
                        struck.append((time.monotonic(), fault))
            senders.join(SEND_ALL_SECONDS)
            time.sleep(max(choices.pause_seconds, mail.down_until - time.monotonic(), 6))  # what is held is let go
            mail.is_calm = True
            whole = wait(service.is_whole, WHOLE_SECONDS, "the service is not whole again")
            whole_at = time.monotonic()
            seen = 0.0
            while missing := differences(service, [*order, *others, POISONED], stub):
                if not seen and all("nobody was told" in words for words in missing):
                    seen = time.monotonic() - whole_at
                if time.monotonic() - whole_at > SENT_SECONDS:
                    break
                time.sleep(0.5)
            told = time.monotonic() - whole_at
            while (unfinished := owed_once(service)) and time.monotonic() - whole_at < NIGHT_SECONDS:
                time.sleep(0.5)
            missing += [*unfinished, *repeats(stub, choices, mail.dropped_after_taking)]
        finally:
            over.set()
            service.end()
    if not missing and (seen or told) > VISIBLE_SECONDS:
        missing = [f"the last alert was visible after {seen or told:.0f} s"]
    verdict = "FAILED" if missing else "PASSED"
    for words in [*missing[:40], *_came_again(stub, struck)]:
        sys.stdout.write(f"{words}\n")
    losses = sum(any(sample.is_loss for sample in one) for one in series)
    again = len(stub.keys()) - len(set(stub.keys()))
    figures = {
        "hit": dict(Counter(fault for _at, fault in struck)), "answers": dict(service.answers),
        "whole_after_s": round(whole, 1), "visible_s_later": round(seen or told, 1), "told_s_later": round(told, 1),
        "messages": len(stub.taken), "repeats": again, "dropped_by_mail_server": mail.dropped_after_taking,
        "results": len(order), "losses": losses, "took_s": round(time.monotonic() - began),
    }  # fmt: skip
    if choices.history:
        history = [[round(at - began, 1), fault] for at, fault in struck]
        day = dt.datetime.now(dt.UTC).date().isoformat()
        chosen = {name: value for name, value in asdict(choices).items() if name != "history"}  # a path of this machine
        kept = {"on": day, "verdict": verdict, "choices": chosen, **figures, "history": history}
        Path(choices.history).write_text(json.dumps(kept) + "\n")
    sys.stdout.write(f"{json.dumps(figures)}\n")
    without = f", without {choices.without}" if choices.without else ""
    sys.stdout.write(
        f"chaos: {len(struck)} kills, seed {choices.seed}, {len(order)} results, {losses} losses{without}: {verdict}\n"
    )
    return 0 if verdict == "PASSED" else 1


def _came_again(stub: SmtpStub, struck: list[tuple[float, str]]) -> list[str]:
    """Which fault was near a message that came twice."""
    found = []
    for key, times in Counter(stub.keys()).items():
        if times > 1:
            came = [at for at, _to, text in stub.taken if f"X-Alert-Delivery: {key}" in text]
            near = [f"{fault} {at - came[0]:+.1f} s" for at, fault in struck if came[0] - 5 < at < came[-1]]
            found.append(f"  {key[-20:]} came again after {came[-1] - came[0]:.1f} s; {', '.join(near[:8])}")
    return found[:40]


if __name__ == "__main__":
    sys.exit(run(Choices()))
