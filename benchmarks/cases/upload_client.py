"""One large file from a user's machine to the store: `uploadgate upload` as a whole process, from
its start until the record is verified, beside boto3's and awscrt's transfer managers, which bring
the bytes there and no more.
"""

import asyncio
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client_stage import ClientStage, client_stage, most_resident, workplace
from benchmarks.footprint import MIB
from benchmarks.peers import awscrt_upload, boto3_upload
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds
from benchmarks.stage import ROOT

SIZE = int(os.environ.get("UPLOAD_MIB", "1024")) * MIB
_CASE = f"upload of {SIZE // MIB:,} MiB"
_LEAST = 0.95
_SECONDS = 600
_WORDS = 500
_LOOK_SECONDS = 0.01
OURS = "uploadgate upload"
_FASTEST = "the fastest of boto3 and awscrt"
_TUNED = {"max_concurrency": 20, "multipart_chunksize": 16 * MIB}
_NO_CHECKSUMS = {"config": {"request_checksum_calculation": "when_required"}}
_HOW = (
    "Whole processes, from their start to their end, one after the other in changing order, each"
    " round on a service and a store of its own; service, store and client share all cores."
)
_WORK = (
    "uploadgate's login is at hand: it makes the record, gets keys from Cognito, sends, completes"
    " and has the record verified. The others have their keys, send and complete."
)
_PARTS = (
    "Parts of 8 MiB where nothing else is said. Checksums are each one's default: none for"
    " uploadgate upload, CRC32 of each part for boto3 and awscrt; the variants say what they do."
)


@dataclass(frozen=True, slots=True)
class Spent:
    """By one process. `memory` is the most it had resident, in bytes."""

    seconds: float
    processor: float
    memory: int


Command = Callable[[ClientStage, Path], tuple[list[str], dict[str, str]]]


def _ours(*options: str) -> Command:
    def command(stage: ClientStage, file: Path) -> tuple[list[str], dict[str, str]]:
        own = ["-m", "cli.main", "upload", str(file), "--session", str(stage.session)]
        return [*own, *options], {}

    return command


def _boto3(**options: object) -> Command:
    def command(stage: ClientStage, file: Path) -> tuple[list[str], dict[str, str]]:
        target = [str(file), stage.bucket, _key(stage), json.dumps(options)]
        return ["-m", boto3_upload.__name__, *target], stage.keys

    return command


def _awscrt(stage: ClientStage, file: Path) -> tuple[list[str], dict[str, str]]:
    return ["-m", awscrt_upload.__name__, str(file), stage.bucket, _key(stage)], stage.keys


def _key(stage: ClientStage) -> str:
    return f"{stage.prefix}bench/{secrets.token_hex(8)}"


SUBJECTS: dict[str, Command] = {
    OURS: _ours(),
    "uploadgate upload --checksum crc64nvme": _ours("--checksum", "crc64nvme"),
    "boto3 upload_file": _boto3(),
    "boto3 upload_file, 20 threads, parts of 16 MiB": _boto3(**_TUNED),
    "boto3 upload_file, no checksums": _boto3(**_NO_CHECKSUMS),
    "awscrt's S3Client": _awscrt,
}


_OWN = tuple(name for name in SUBJECTS if name.startswith(OURS))


async def measure(rounds: int) -> Section:
    found = Rounds(_CASE, "MiB/s")
    with workplace((len(SUBJECTS) + 1) * SIZE) as (directory, in_memory):
        file = directory / "holiday.mp4"
        await asyncio.to_thread(_fill, file)
        for number in range(rounds):
            await _round(directory / str(number), file, number, found)
    where = "in memory" if in_memory else "on a disk"
    figures = found.figures()
    return Section(
        name="upload_client",
        figures=figures,
        targets=[_target(figures)],
        notes=[_HOW, _WORK, _PARTS, f"The file and the store are {where}."],
        versions=versions("uploadgate", "aiohttp", "boto3", "s3transfer", "awscrt"),
    )


async def _round(directory: Path, file: Path, number: int, found: Rounds) -> None:
    """The subject that begins is another one each time. What was stored is gone afterwards."""
    await asyncio.to_thread(directory.mkdir)
    names = list(SUBJECTS)
    begins = number % len(names)
    async with client_stage(directory) as stage:
        for name in names[begins:] + names[:begins]:
            servers = stage.servers_seconds()
            spent = await asyncio.to_thread(_run, *SUBJECTS[name](stage, file))
            found.add(
                name,
                SIZE / MIB / spent.seconds,
                seconds=spent.seconds,
                cpu_seconds=spent.processor,
                servers_cpu_seconds=stage.servers_seconds() - servers,
                memory_mib=spent.memory / MIB,
            )
    await asyncio.to_thread(shutil.rmtree, directory)


def _target(figures: Sequence[Figure]) -> Target:
    """Round by round against whichever peer was the fastest in it."""
    ours = next(figure.rounds for figure in figures if figure.subject == OURS)
    theirs = zip(*(each.rounds for each in figures if each.subject not in _OWN), strict=True)
    ratios = [our / max(their) for our, their in zip(ours, theirs, strict=True)]
    return Target(case=_CASE, against=_FASTEST, found=statistics.median(ratios), least=_LEAST)


def _fill(file: Path) -> None:
    with file.open("wb") as stream:
        for _ in range(SIZE // MIB):
            stream.write(os.urandom(MIB))


def _run(command: list[str], environment: dict[str, str]) -> Spent:
    """Of the module named, as Python runs it. Raises RuntimeError with its last words."""
    own = {"PATH": os.environ["PATH"], "HOME": os.devnull, "NO_PROXY": "*"}
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - its arguments are all made here
            [sys.executable, *command],
            cwd=ROOT,
            env=own | environment,
            stdout=subprocess.DEVNULL,
            stderr=words,
        )
        spent = _watched(process, began)
        if process.returncode != 0:
            words.seek(0)
            told = words.read().decode(errors="replace")[-_WORDS:]
            raise RuntimeError(f"{command[1]} ended with {process.returncode}: {told}")
    return spent


def _watched(process: subprocess.Popen[bytes], began: float) -> Spent:
    """Until it ends, or is ended for having taken too long. Looked at, because what wait4 says of
    its memory is that of this process where that had more.
    """
    memory = 0
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - began
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Spent(seconds, used.ru_utime + used.ru_stime, memory)
        if seconds > _SECONDS:
            process.kill()
        memory = max(memory, most_resident(process.pid))
        time.sleep(_LOOK_SECONDS)


def main() -> int:
    return run_case("upload_client", measure)


if __name__ == "__main__":
    sys.exit(main())
