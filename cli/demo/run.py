"""The demo as a whole, from the first port to the exit code."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.demo import afterwards, summary
from cli.demo.act import Act
from cli.demo.application import WHAT, Application, Heard
from cli.demo.audience import Audience, assembled
from cli.demo.evidence import ServiceLog
from cli.demo.keepsakes import USERNAME, Keepsakes
from cli.demo.stage import Stage, raised
from cli.demo.story import Story
from cli.demo.teller import StepFailedError, Teller
from cli.outcome import FAILED, INTERRUPTED
from cli.users import ensure_user
from client.session import SessionFile
from settings import AuthSettings, DatabaseSettings, Settings


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`size` in bytes; `once` ends after the one upload."""

    data_dir: Path
    port: int
    size: int
    once: bool


def run(options: DemoOptions) -> int:
    """The exit code: 0 also for Ctrl-C while serving, 1 when a step failed."""
    logging.getLogger("botocore").setLevel(logging.CRITICAL)
    demo = _Demo(options, Teller())
    try:
        asyncio.run(demo.play())
    except StepFailedError:
        demo.teller.say(f"The demo failed. Logs: {options.data_dir}/*.log", "red")
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        demo.teller.say("\nStopped: the service drained, then the store.")
        return 0 if demo.done else INTERRUPTED
    return 0


class _Demo:
    def __init__(self, options: DemoOptions, teller: Teller) -> None:
        self._options = options
        self.teller = teller
        self.done = False

    async def play(self) -> None:
        _end_on_sigterm()
        options = self._options
        async with raised(options.data_dir, options.port, self.teller) as stage:
            password = await self._user(stage.keepsakes)
            file = await self._file(stage.keepsakes)
            async with self._audience(stage, password) as audience:
                acts = await self._story(stage, audience, password, file)
                self.done = True
                if not options.once:
                    afterwards.tell(
                        stage,
                        self.teller,
                        password=password,
                        file=file,
                        last=acts[-1].record,
                        application=audience.application,
                    )
                    await self._serve_on(stage, audience.application)

    async def _user(self, keepsakes: Keepsakes) -> str:
        with self.teller.step("a user") as step:
            password = keepsakes.password()
            user_id = await ensure_user(_settings(keepsakes), USERNAME, password)
            step.found = f"{USERNAME} ({user_id})"
        return password

    async def _file(self, keepsakes: Keepsakes) -> Path:
        with self.teller.step("a file of random bytes") as step:
            file = await asyncio.to_thread(keepsakes.file_of, self._options.size)
            step.found = str(file)
        return file

    async def _story(
        self, stage: Stage, audience: Audience, password: str, file: Path
    ) -> list[Act]:
        session = SessionFile(stage.keepsakes.session)
        log = ServiceLog(stage.keepsakes.service_log)
        story = Story(stage, USERNAME, session, self.teller, log, audience, self._options.size)
        acts = await story.play(password, file)
        summary.tell(USERNAME, acts, audience.application, self.teller)
        return acts

    @asynccontextmanager
    async def _audience(self, stage: Stage, password: str) -> AsyncIterator[Audience]:
        with self.teller.step("who hears of it") as step:
            admin_password = secrets.token_urlsafe(16)
            name = f"admin-{secrets.token_hex(4)}"
            await ensure_user(_settings(stage.keepsakes), name, admin_password, admin=True)
            manager = assembled(stage.url, (name, admin_password), (USERNAME, password))
            audience = await manager.__aenter__()
            step.found = (
                f"{WHAT} listens at {audience.application.url} and verifies with the "
                "`standardwebhooks` library; a page reads /v1/events"
            )
        try:
            yield audience
        finally:
            await manager.__aexit__(None, None, None)

    async def _serve_on(self, stage: Stage, application: Application) -> None:
        def on_message(heard: Heard, again: bool) -> None:
            repeated = " (again: it knows the id)" if again else ""
            self.teller.say(f"  the application heard {heard}{repeated}")

        application.on_message = on_message
        with self.teller.step("serving") as step:
            code = await stage.service.ended()
            step.found = "ended"
            raise RuntimeError(f"the service ended by itself ({code})")


def _end_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _settings(keepsakes: Keepsakes) -> Settings:
    """As much of the service's settings as adding a user takes."""
    return Settings(
        environment="development",
        database=DatabaseSettings.model_validate(
            {"url": f"sqlite+aiosqlite:///{keepsakes.database}"}
        ),
        auth=AuthSettings.model_validate({"signing_key": keepsakes.signing_key()}),
    )
