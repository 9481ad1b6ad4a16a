#!/usr/bin/python3
"""Runs a command on a pseudo-terminal and plays a person at it.

    terminal.py STEP... -- COMMAND [ARGUMENT...]

Steps: expect:TEXT (waits for it, at most 10 s), send:TEXT (\\n, \\x03 and the like are understood), paste:COUNT (that
many letters, while it shows what comes; gives up after 3 s without either), size:ROWSxCOLS, signal:NAME (to the
command), wait:SECONDS, deaf:SECONDS (shows nothing until the command has ended, at most that long). Prints what the
terminal showed; exits with the command's status (128 and the signal), or 99 where an expected text did not come. The
terminal's modes are compared before and after: the last line says "modes restored" or "modes changed".
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def main():
    at = sys.argv.index("--")
    steps, command = sys.argv[1:at], sys.argv[at + 1:]
    # Ours stays open, so that the modes can be read when the command is gone.
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 64)
        os.execvp(command[0], command)
    shown, seen, status = b"", 0, None

    def pump(seconds):
        nonlocal shown
        if select.select([master], [], [], seconds)[0]:
            shown += os.read(master, 65536)
            return True
        return False

    for step in steps:
        kind, _, text = step.partition(":")
        if kind == "expect":
            until = time.time() + 10
            while (found := shown.find(text.encode(), seen)) < 0 and time.time() < until:
                pump(0.05)
            if found < 0:
                sys.stdout.buffer.write(shown + f"\n[terminal: {text!r} did not come]\n".encode())
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return 99
            seen = found + len(text)
        elif kind == "send":
            os.write(master, text.encode().decode("unicode_escape").encode())
        elif kind == "paste":
            left, until = int(text), time.time() + 3
            while left > 0 and time.time() < until:
                until = time.time() + 3 if pump(0) else until
                if select.select([], [master], [], 0.05)[1]:
                    left -= os.write(master, b"p" * min(left, 64))
                    until = time.time() + 3
            if left > 0:
                print(f"[terminal: {left} letters were not taken]")
        elif kind == "size":
            rows, columns = map(int, text.split("x"))
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        elif kind == "signal":
            os.kill(pid, getattr(signal, "SIG" + text))
        elif kind == "deaf":
            until = time.time() + float(text)
            while status is None and time.time() < until:
                time.sleep(0.05)
                done, raw = os.waitpid(pid, os.WNOHANG)
                status = raw if done else None
            if status is None:
                print("[terminal: the command goes on]")
        elif kind == "wait":
            time.sleep(float(text))
        else:
            sys.exit(f"terminal.py: unknown step {step}")
    until = time.time() + 10
    while status is None and time.time() < until:
        pump(0.05)
        done, raw = os.waitpid(pid, os.WNOHANG)
        status = raw if done else None
    while pump(0.1):
        pass
    if status is None:
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    modes = "restored" if termios.tcgetattr(slave) == before else "changed"
    sys.stdout.buffer.write(shown + f"\nmodes {modes}\n".encode())
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


sys.exit(main())
