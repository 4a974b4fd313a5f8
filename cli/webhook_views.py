"""Webhook endpoints and their deliveries on the terminal: tables for people, JSON as the API has
it for programs.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from routers.endpoint_schemas import (
    DeliveryResponse,
    EndpointResponse,
    EndpointTrialResponse,
    EndpointWithSecret,
    ReplayResponse,
)
from service.delivery.endpoint_ports import DeliveryRecord, DeliveryStatus, ManagedEndpoint
from service.delivery.trial import Trial

# What stands in the way, where nothing was answered.
_OBSTACLES = {
    "timeout": "it did not answer in time",
    "refused": "nothing takes connections there",
    "unreachable": "it cannot be reached",
    "tls": "its certificate is not trusted, or it does not speak TLS",
    "broken": "the connection broke, or what came back was not HTTP",
    "unresolvable": "its host does not resolve",
    "forbidden_address": "its host has an address to which nothing is sent; "
    "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS can allow its network",
    "forbidden_url": "webhooks are not sent to such a URL",
    "internal_error": "the service failed",
}
_REDIRECTS = range(300, 400)


def show_secret(endpoint: ManagedEndpoint, *, as_json: bool) -> None:
    """The one view with the secret."""
    if as_json:
        _print_json(EndpointWithSecret.of(endpoint))
        return
    typer.echo(f"{endpoint.id}  {endpoint.url}")
    typer.echo(f"Secret, shown this once: {endpoint.secrets[0]}")
    if endpoint.previous_until is not None:
        typer.echo(f"The one till now signs beside it until {_time(endpoint.previous_until)}.")


def show(endpoint: ManagedEndpoint, *, as_json: bool) -> None:
    if as_json:
        _print_json(EndpointResponse.of(endpoint))
        return
    lines = {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description or "-",
        "events": _events(endpoint),
        "standing": _standing(endpoint),
        "rotation": _until(endpoint.previous_until),
        "since": _time(endpoint.created_at),
        "changed": _time(endpoint.updated_at),
    }
    for name, value in lines.items():
        typer.echo(f"{name:<12} {value}")


def show_all(endpoints: Sequence[ManagedEndpoint], *, as_json: bool) -> None:
    if as_json:
        _print_json(*(EndpointResponse.of(endpoint) for endpoint in endpoints), many=True)
        return
    _print_table(
        ["ID", "URL", "Events", "Standing"],
        (
            [endpoint.id, endpoint.url, _events(endpoint), _standing(endpoint)]
            for endpoint in endpoints
        ),
    )


def show_deliveries(records: Sequence[DeliveryRecord], *, held: bool, as_json: bool) -> None:
    """`held`: the endpoint is disabled, so what waits goes out at no time."""
    if as_json:
        _print_json(*(DeliveryResponse.of(record) for record in records), many=True)
        return
    _print_table(
        ["Event", "Type", "Status", "Tries", "Last answer", "Next or done"],
        (
            [
                record.event_id,
                record.event_type.value,
                record.status.value,
                str(record.attempts),
                _last_answer(record),
                _next_or_done(record, held=held),
            ]
            for record in records
        ),
    )


def show_replayed(count: int, *, as_json: bool) -> None:
    if as_json:
        _print_json(ReplayResponse(replayed=count))
        return
    typer.echo(f"{count} {'event goes' if count == 1 else 'events go'} out again")


def show_trial(trial: Trial, *, as_json: bool) -> None:
    if as_json:
        _print_json(EndpointTrialResponse.of(trial))
        return
    told = "Delivered" if trial.delivered else "Not delivered"
    typer.echo(f"{told}: {_came_back(trial)} ({trial.event_id}, {trial.milliseconds} ms)")


def _came_back(trial: Trial) -> str:
    if trial.status is None:
        return _OBSTACLES.get(trial.error or "", trial.error or "-")
    answered = f"it answered {trial.status}"
    return f"{answered}; redirects are not followed" if trial.status in _REDIRECTS else answered


def _print_json(*models: BaseModel, many: bool = False) -> None:
    plain = [model.model_dump(mode="json") for model in models]
    typer.echo(json.dumps(plain if many else plain[0], indent=2))


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Nothing is cut off: what is too wide is folded, and not at all when it goes to a file."""
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width).print(table)


def _events(endpoint: ManagedEndpoint) -> str:
    types = endpoint.event_types
    return "all but upload.quarantined" if types is None else ", ".join(sorted(types))


def _standing(endpoint: ManagedEndpoint) -> str:
    if endpoint.enabled:
        return "enabled"
    return f"disabled: {endpoint.disabled_reason}" if endpoint.disabled_reason else "disabled"


def _last_answer(record: DeliveryRecord) -> str:
    said = [str(record.last_status)] if record.last_status is not None else []
    return " ".join([*said, record.last_error or ""]).strip() or "-"


def _next_or_done(record: DeliveryRecord, *, held: bool) -> str:
    if record.status is not DeliveryStatus.WAITING:
        return _time(record.done_at)
    return "held: the endpoint is disabled" if held else _time(record.due_at)


def _until(moment: datetime | None) -> str:
    return "none pending" if moment is None else f"the old secret signs until {_time(moment)}"


def _time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"
