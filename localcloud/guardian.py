"""Keeps a child from outliving its parent. Run as a program, with the standard library only.

Its standard input is a pipe that only the parent holds: end of file means that the parent let
go or died, however it died. Then the child is asked to stop, and killed when it does not within
the grace. Signals of the terminal do not count: whoever holds the pipe decides.

Arguments: the grace in seconds, the file for the child's process id, the files that a killed
child leaves (one argument, separated as in PATH), then the child's command.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main(arguments: list[str]) -> int:
    grace, pid_file, leftovers, *command = arguments
    for terminal_signal in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(terminal_signal, signal.SIG_IGN)
    # Held back until there is somebody to pass it on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # The child's files and sockets are nobody else's.
    os.umask(0o077)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_let_through)  # noqa: PLW1509, S603 - one thread yet; the parent's own command
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    Path(pid_file).write_text(f"{child.pid}\n", encoding="ascii")
    threading.Thread(target=_stop_when_released, args=(child, float(grace)), daemon=True).start()
    _let_through()
    code = child.wait()
    for file in (pid_file, *filter(None, leftovers.split(os.pathsep))):
        Path(file).unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _stop_when_released(child: "subprocess.Popen[bytes]", grace: float) -> None:
    # Not sys.stdin: its lock, held by a daemon thread, would abort the interpreter's end.
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
