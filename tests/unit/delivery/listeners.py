"""A stream of which only the waking counts."""

from service.delivery.hub import EndReason


class Counting:
    """Implements service.delivery.hub.Listener."""

    def __init__(self) -> None:
        self.woken = 0
        self.ended: list[EndReason] = []

    def wake(self) -> None:
        self.woken += 1

    def end(self, reason: EndReason) -> None:
        self.ended.append(reason)
