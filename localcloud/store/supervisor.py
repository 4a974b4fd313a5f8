"""Keeps the store running: started, restarted when it dies, stopped when told."""

import asyncio
import contextlib
import logging

from localcloud.errors import StoreStartError
from localcloud.store.process import StoreLaunch, StoreProcess, log_tail

_log = logging.getLogger(__name__)
_FIRST_DELAY_SECONDS = 0.5
_MAX_DELAY_SECONDS = 30.0
_MAX_FAILURES = 6
# Who ran that long did not die of what killed the last one.
_HEALTHY_SECONDS = 60.0


class StoreSupervisor:
    """The store as a thing that is on or off.

    A store that dies is started again after 0.5 s, then after twice as long each time; after six
    deaths without a healthy minute in between it stays down, and `failed` is set.
    """

    def __init__(self, launch: StoreLaunch) -> None:
        self._launch = launch
        self._process: StoreProcess | None = None
        self._watch: asyncio.Task[None] | None = None
        self.restarted = asyncio.Event()
        self.failed = asyncio.Event()

    async def start(self) -> None:
        """Start the store unless it is on.

        StoreStartError when it does not come up.
        """
        if self._watch is not None:
            return
        self._process = await StoreProcess.start(self._launch)
        self._watch = asyncio.create_task(self._keep_running(self._process))

    async def stop(self) -> None:
        """Stop the store and leave it stopped."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def _keep_running(self, process: StoreProcess) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while failures < _MAX_FAILURES:
            since = loop.time()
            code = await process.exited()
            failures = 0 if loop.time() - since > _HEALTHY_SECONDS else failures
            _log.error(
                "the store ended with code %d; its log ends:\n%s", code, log_tail(self._launch)
            )
            failures, process = await self._restart(failures, process)
        _log.critical("the store died %d times and stays down", failures)
        self.failed.set()

    async def _restart(self, failures: int, dead: StoreProcess) -> tuple[int, StoreProcess]:
        """Give the count of failures and the new process, or the dead one when it did not start."""
        await asyncio.sleep(min(_FIRST_DELAY_SECONDS * 2**failures, _MAX_DELAY_SECONDS))
        try:
            self._process = await StoreProcess.start(self._launch)
        except StoreStartError:
            _log.exception("the store did not start again")
            return failures + 1, dead
        _log.warning("the store runs again")
        self.restarted.set()
        return failures + 1, self._process
