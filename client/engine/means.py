"""What all files of one engine share."""

from dataclasses import dataclass

from client.api import Api
from client.engine.key_ring import KeyRing
from client.engine.pace import Pace
from client.engine.sending import Sender
from client.engine.threads import Threads
from client.engine.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Means:
    api: Api
    threads: Threads
    sender: Sender
    ring: KeyRing
    pace: Pace
    tuning: Tuning
