"""Keeps the service from outliving the demo. Run as a program, with the standard library only.

Its standard input is a pipe that only the demo holds: end of file means that the demo died,
however it died, and the service is then asked to stop, and killed when it does not.

Arguments: the file for the service's process id, then the service's command.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_GRACE_SECONDS = 10


def main(arguments: list[str]) -> int:
    pid_file, *command = arguments
    # Held back until there is somebody to pass it on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_let_through)  # noqa: PLW1509, S603 - one thread yet; the demo's own command
    signal.signal(signal.SIGTERM, lambda *_: service.terminate())
    Path(pid_file).write_text(f"{service.pid}\n", encoding="ascii")
    threading.Thread(target=_end_when_released, args=(service,), daemon=True).start()
    _let_through()
    code = service.wait()
    Path(pid_file).unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_when_released(service: "subprocess.Popen[bytes]") -> None:
    # Not sys.stdin: its lock, held by a daemon thread, would abort the interpreter's end.
    while os.read(0, 4096):
        pass
    service.terminate()
    try:
        service.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
