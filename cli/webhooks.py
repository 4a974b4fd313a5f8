"""`uploadgate webhook …`: where the application hears, managed where the database can be reached.

What is changed here a running service sees with its next look.
"""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli import webhook_views as views
from cli.managing import ON_THE_DATABASE, managed, opened_current
from cli.outcome import FAILED
from outgoing.guard import Guard
from outgoing.lookup import SystemLookup
from service.clock import utc_now
from service.delivery.endpoint_ports import DeliveryRecord, DeliveryStatus, ManagedEndpoint
from service.delivery.endpoints import Endpoints
from service.delivery.events import OFFERED_TYPES, EventType
from service.delivery.trial import Trial
from settings import Settings
from wiring.delivery import endpoints_of, guard_of, opened_trials

if TYPE_CHECKING:
    from service.uploads.ports import Cursor

webhooks_app = typer.Typer(
    name="webhook",
    help=f"Manage where the application hears.\n\n{ON_THE_DATABASE}",
    no_args_is_help=True,
    add_completion=False,
)

_T = TypeVar("_T")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PAGE = 1000


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Endpoints]:
    """Their management alone, without the service around it."""
    async with _opened(settings) as (endpoints, _):
        yield endpoints


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Endpoints, Guard]]:
    async with opened_current(settings) as database:
        with SystemLookup.opened() as resolve:
            guard = guard_of(settings.delivery, resolve)
            yield endpoints_of(settings.delivery, database, guard), guard


def _moment(text: str) -> datetime:
    """`90s`, `30m`, `2h`, `7d` ago, or RFC 3339."""
    try:
        if found := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
            return utc_now() - timedelta(**{_UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter("neither like 2h nor like 2030-01-31T12:00:00Z")


def _offered(text: str) -> EventType:
    if text not in OFFERED_TYPES:
        raise typer.BadParameter(f"one of {', '.join(sorted(OFFERED_TYPES))}")
    return EventType(text)


def _id(text: str) -> str:
    """What the shell gave of other bytes than UTF-8 no database could look for."""
    if not text.isascii():
        raise typer.BadParameter("no endpoint has such an id")
    return text


def _event_id(text: str | None) -> str | None:
    if text is not None and not text.isascii():
        raise typer.BadParameter("no event has such an id")
    return text


EndpointId = Annotated[str, typer.Argument(callback=_id, metavar="ID", help="The endpoint's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Since = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="WHEN", help="2h, 7d, or RFC 3339.")
]
Until = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="WHEN", help="Now, if left out.")
]


@webhooks_app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where to send to.")],
    event: Annotated[
        list[EventType] | None,
        typer.Option(
            parser=_offered,
            metavar="TYPE",
            help="What to tell of; several times for several. All but upload.quarantined, if "
            "left out.",
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read the secret (whsec_…) from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its secret is shown now and never again."""
    secret = sys.stdin.readline().strip() if secret_stdin else None
    endpoint = _run(
        lambda endpoints: endpoints.create(
            url, description=description, event_types=event or None, secret=secret
        )
    )
    views.show_secret(endpoint, as_json=as_json)


@webhooks_app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List the endpoints, the oldest first."""
    views.show_all(_run(lambda endpoints: endpoints.list()), as_json=as_json)


@webhooks_app.command("show")
def show(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Show an endpoint, without its secret."""
    views.show(_run(lambda endpoints: endpoints.get(endpoint_id)), as_json=as_json)


@webhooks_app.command("test")
def try_endpoint(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Send it a test message now, from this machine, and show what came back.

    Also while it is disabled, and whatever it hears of. Ends with 1 if it was not delivered.
    """
    trial = managed(lambda settings: _tried(settings, endpoint_id))
    views.show_trial(trial, as_json=as_json)
    if not trial.delivered:
        raise typer.Exit(FAILED)


@webhooks_app.command("enable")
def enable(endpoint_id: EndpointId) -> None:
    """Send to it again, first what waits for it."""
    _run(lambda endpoints: endpoints.change(endpoint_id, {"enabled": True}))
    typer.echo(f"Enabled {endpoint_id}. What happened meanwhile it gets by `replay`.")


@webhooks_app.command("disable")
def disable(endpoint_id: EndpointId) -> None:
    """Send nothing to it until it is enabled."""
    _run(lambda endpoints: endpoints.change(endpoint_id, {"enabled": False}))
    typer.echo(f"Disabled {endpoint_id}")


@webhooks_app.command("rotate")
def rotate(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Give it a new secret, shown now and never again. The old one signs beside it for a while."""
    views.show_secret(_run(lambda endpoints: endpoints.rotate(endpoint_id)), as_json=as_json)


@webhooks_app.command("remove")
def remove(endpoint_id: EndpointId) -> None:
    """Remove it with its deliveries, also those that wait."""
    _run(lambda endpoints: endpoints.delete(endpoint_id))
    typer.echo(f"Removed {endpoint_id}")


@webhooks_app.command("deliveries")
def deliveries(
    endpoint_id: EndpointId,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only those that stand so.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those given up, as --status failed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was sent and what waits, newest first."""
    if failed and status not in (None, DeliveryStatus.FAILED):
        raise typer.BadParameter("--failed is --status failed")
    wanted = DeliveryStatus.FAILED if failed else status
    endpoint, found = _run(lambda endpoints: _deliveries(endpoints, endpoint_id, wanted, limit))
    views.show_deliveries(found, held=not endpoint.enabled, as_json=as_json)


@webhooks_app.command("replay")
def replay(  # noqa: PLR0917 - its options, by name
    endpoint_id: EndpointId,
    since: Since = None,
    until: Until = None,
    event: Annotated[
        list[EventType] | None,
        typer.Option(
            parser=_offered,
            metavar="TYPE",
            help="Only such, of those that it hears of; several times for several.",
        ),
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option(metavar="ID", callback=_event_id, help="This one event, in place of --since."),
    ] = None,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Not what was delivered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send it the events of that time, or that one event, again, under the ids they had."""
    if event_id is not None:
        if since or until or event or failed_only:
            raise typer.BadParameter("--event-id stands alone")
        due = _run(lambda endpoints: endpoints.replay_event(endpoint_id, event_id))
    elif since is None:
        raise typer.BadParameter("give --since or --event-id")
    else:
        due = _run(
            lambda endpoints: endpoints.replay(
                endpoint_id, since=since, until=until, types=event or None, only_failed=failed_only
            )
        )
    views.show_replayed(due, as_json=as_json)


async def _deliveries(
    endpoints: Endpoints, endpoint_id: str, status: DeliveryStatus | None, limit: int
) -> tuple[ManagedEndpoint, Sequence[DeliveryRecord]]:
    endpoint = await endpoints.get(endpoint_id)
    found: list[DeliveryRecord] = []
    after: Cursor | None = None
    while len(found) < limit:
        page, after = await endpoints.deliveries(
            endpoint_id, status=status, after=after, limit=min(_PAGE, limit - len(found))
        )
        found += page
        if after is None:
            break
    return endpoint, found


async def _tried(settings: Settings, endpoint_id: str) -> Trial:
    from main import VERSION  # noqa: PLC0415 - after the settings have been accepted

    async with (
        _opened(settings) as (endpoints, guard),
        opened_trials(settings.delivery, endpoints, guard, VERSION) as trials,
    ):
        return await trials.make(endpoint_id)


def _run(work: Callable[[Endpoints], Awaitable[_T]]) -> _T:
    async def with_endpoints(settings: Settings) -> _T:
        async with opened(settings) as endpoints:
            return await work(endpoints)

    return managed(with_endpoints)
