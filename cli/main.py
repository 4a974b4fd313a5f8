"""The command line. What a command needs is loaded when it runs: `credentials` is started by
other programs again and again, and they wait for it.
"""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from cli.connection import SessionOption
from cli.outcome import FAILED, MISCONFIGURED, describe
from client.problems import ClientError

Via = Literal["cognito", "exchange"]
Transport = Literal["auto", "credentials", "presigned", "relay"]
ChecksumName = Literal["crc32", "crc64nvme", "none"]
ManagerName = Literal["uploadgate", "boto3"]


def _rate(text: str) -> float:
    from client.engine.pace import bytes_per_second  # noqa: PLC0415

    try:
        return bytes_per_second(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


# By name: the module, and the commands in it.
_WITH_DATABASE = {
    "user": ("cli.users", "users_app"),
    "webhook": ("cli.webhooks", "webhooks_app"),
}


class _Commands(TyperGroup):
    """Loads what needs the database only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_WITH_DATABASE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _WITH_DATABASE:
            return super().get_command(ctx, cmd_name)
        module, name = _WITH_DATABASE[cmd_name]
        return typer.main.get_command(getattr(importlib.import_module(module), name))


app = typer.Typer(
    name="uploadgate",
    cls=_Commands,
    help="Lets users upload straight to S3.",
    no_args_is_help=True,
    add_completion=False,
    # Its traces show local variables, and with them tokens and keys.
    pretty_exceptions_enable=False,
)
database_app = typer.Typer(help="Manage the service's database.", no_args_is_help=True)
app.add_typer(database_app, name="db")


@app.command()
def serve(
    workers: Annotated[
        int, typer.Option(envvar="WEB_CONCURRENCY", help="Processes; only 1 can be had.")
    ] = 1,
) -> None:
    """Run the service. Its settings are UPLOADGATE_… variables (docs/settings.md)."""
    from cli.serve import run  # noqa: PLC0415

    raise typer.Exit(run(workers))


@app.command()
def worker() -> None:
    """Complete uploads, deliver webhooks and take events from the queue, without HTTP."""
    from cli.worker import run  # noqa: PLC0415

    raise typer.Exit(run())


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the one upload.")] = False,
    data_dir: Annotated[
        Path, typer.Option(help="Where the store, the database and the logs are kept.")
    ] = Path(".localcloud"),
    port: Annotated[int, typer.Option(help="Preferred port of the service.")] = 8080,
    size_mib: Annotated[int, typer.Option(min=1, help="Size of the file to upload.")] = 64,
) -> None:
    """Bring up everything on this machine, upload a file, then keep serving until Ctrl-C."""
    from cli.demo.run import DemoOptions, run  # noqa: PLC0415

    raise typer.Exit(run(DemoOptions(data_dir.resolve(), port, size_mib * 1024 * 1024, once=once)))


@app.command()
def login(
    url: Annotated[str, typer.Argument(envvar="UPLOADGATE_URL", help="Address of the service.")],
    username: Annotated[str, typer.Argument(envvar="UPLOADGATE_USERNAME")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    session: SessionOption = None,
) -> None:
    """Log in, and keep the login for `upload` and `credentials`."""
    from cli.login import run  # noqa: PLC0415

    run(url, username, session, password_stdin=password_stdin)


@app.command()
def logout(session: SessionOption = None) -> None:
    """End the stored login, here and at the service."""
    from cli.login import end  # noqa: PLC0415

    end(session)


@app.command()
def upload(  # noqa: PLR0917 - its options, by name
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", show_default=False)],
    transport: Annotated[
        Transport,
        typer.Option(help="How the bytes go; auto takes the best there is, and changes over."),
    ] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an earlier run has left unfinished.")
    ] = False,
    checksum: Annotated[
        ChecksumName, typer.Option(help="Of the whole file, verified at the store.")
    ] = "none",
    limit_rate: Annotated[
        float | None,
        typer.Option(
            parser=_rate, metavar="RATE", help="Bytes a second over all files: 500k, 2M, …"
        ),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The service's upload profile.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until the service has verified each file.")
    ] = True,
    parallel_files: Annotated[int, typer.Option(min=1, max=32, help="Files at once.")] = 3,
    parallel_parts: Annotated[int, typer.Option(min=1, max=64, help="Parts of each at once.")] = 8,
    manager: Annotated[
        ManagerName, typer.Option(help="Who moves the bytes; boto3's needs credentials.")
    ] = "uploadgate",
    via: Annotated[
        Via, typer.Option(help="Who exchanges the grant: this machine at Cognito, or the service.")
    ] = "cognito",
    session: SessionOption = None,
) -> None:
    """Upload files straight to the store, in parallel parts. Ctrl-C aborts cleanly."""
    from cli.managers import Wishes  # noqa: PLC0415
    from cli.upload import run  # noqa: PLC0415

    wishes = Wishes(
        transport=transport,
        manager=manager,
        via=via,
        wait=wait,
        resume=resume,
        checksum=checksum,
        profile=profile,
        limit_rate=limit_rate,
        parallel_files=parallel_files,
        parallel_parts=parallel_parts,
    )
    if (refusal := wishes.refusal()) is not None:
        raise typer.BadParameter(refusal)
    raise typer.Exit(run(files, session, wishes))


@app.command()
def credentials(
    via: Annotated[
        Via, typer.Option(help="Who exchanges the grant: this machine at Cognito, or the service.")
    ] = "exchange",
    session: SessionOption = None,
) -> None:
    """Print temporary credentials as `credential_process` of the AWS SDKs and CLI expects."""
    from cli.credentials import run  # noqa: PLC0415

    run(via, session)


@database_app.command("upgrade")
def upgrade_database() -> None:
    """Bring the schema up to date. `serve` does so itself unless told otherwise."""
    from cli.database import upgrade  # noqa: PLC0415

    upgrade()


def main() -> None:
    """The console script. Exits 1 with a problem's title, detail and code, 2 on bad settings."""
    try:
        app()
    except ClientError as error:
        typer.echo(describe(error), err=True)
        sys.exit(FAILED)
    except ValueError as error:
        from cli.configuration import refusals  # noqa: PLC0415

        lines = refusals(error)
        if lines is None:
            raise
        typer.echo("\n".join(lines), err=True)
        sys.exit(MISCONFIGURED)


if __name__ == "__main__":
    main()
