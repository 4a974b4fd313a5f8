"""Keeps the store from outliving its parent. Run as a program, with the standard library only.

Its standard input is a pipe that only the parent holds: end of file means that the parent let
go or died, however it died. Then the store is asked to stop, and killed when it does not.
Signals of the terminal do not count: the service drains first and lets go of the pipe after.

Arguments: the file for the store's process id, then the store's command.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

# Longer gains nothing: after ten seconds of waiting for streams that never end by themselves the
# store would go on to close what a kill does not harm either. What it has acknowledged is with
# the operating system already.
GRACE_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    pid_file, *command = arguments
    for terminal_signal in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(terminal_signal, signal.SIG_IGN)
    # The store's files and sockets are nobody else's.
    os.umask(0o077)
    store = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the parent's command
    signal.signal(signal.SIGTERM, lambda *_: store.terminate())
    Path(pid_file).write_text(f"{store.pid}\n", encoding="ascii")
    threading.Thread(target=_stop_when_released, args=(store,), daemon=True).start()
    code = store.wait()
    Path(pid_file).unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _stop_when_released(store: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    store.terminate()
    try:
        store.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        store.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
