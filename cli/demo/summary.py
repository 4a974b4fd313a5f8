"""What came of it, to be read by people."""

import json
from collections.abc import Sequence

from cli.demo.act import MIB, Act
from cli.demo.teller import Teller


def tell(who: str, acts: Sequence[Act], teller: Teller) -> None:
    teller.rows(f"What happened: {who}'s uploads", {act.title: _row(act) for act in acts})
    teller.say()
    teller.say("The last record, as GET /v1/uploads/{id} shows it", "bold")
    teller.say(json.dumps(acts[-1].record.raw, indent=2, ensure_ascii=False))


def _row(act: Act) -> str:
    read = "-" if act.read is None else f"{act.read / MIB:.2f} MiB"
    return (
        f"{act.record.status}; {act.parts} parts, {act.stored} stored, {act.refused} refused; "
        f"{act.seconds:.2f} s; through the service: {read}"
    )
