"""What came of it, to be read by people."""

import json
from collections import Counter
from collections.abc import Sequence

from cli.demo.act import MIB, Act
from cli.demo.application import Application
from cli.demo.teller import Teller


def tell(who: str, acts: Sequence[Act], application: Application, teller: Teller) -> None:
    rows = {act.title: _row(act) for act in acts}
    rows["the application heard"] = _heard(application)
    teller.rows(f"What happened: {who}'s uploads", rows)
    teller.say()
    teller.say("The last message, as the application's webhook got it", "bold")
    last = list(application.heard.values())[-1]
    teller.say(f"webhook-id: {last.id}")
    teller.say(json.dumps(last.message, indent=2, ensure_ascii=False))
    teller.say()
    teller.say("The last record, as GET /v1/uploads/{id} shows it", "bold")
    teller.say(json.dumps(acts[-1].record.raw, indent=2, ensure_ascii=False))


def _heard(application: Application) -> str:
    kinds = Counter(heard.type for heard in application.heard.values())
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{told}; {application.repeats} repeated, {application.refused} with a wrong signature"


def _row(act: Act) -> str:
    read = "-" if act.read is None else f"{act.read / MIB:.2f} MiB"
    return (
        f"{act.record.status}; {act.parts} parts, {act.stored} stored, {act.refused} refused; "
        f"{act.seconds:.2f} s; through the service: {read}"
    )
