"""Starts one program and reports what it used. Run as a small process of its own, because ru_maxrss of a child
started straight from pytest would include pytest's own memory (Linux keeps the peak across fork and exec).

    python -I -S launcher.py REPORT_FD -- PROGRAM ARGS...

Writes `pid N` to REPORT_FD at once and `end STATUS MAXRSS_KIB USER SYSTEM` when the program ended.
"""

import os
import shutil
import signal
import sys


def main():
    report, argv = int(sys.argv[1]), sys.argv[3:]
    os.set_inheritable(report, False)
    setpriv = shutil.which("setpriv")
    command = [setpriv, "--pdeathsig", "KILL", "--", *argv] if setpriv else argv
    # A shell ignores SIGINT in what it starts in the background, nohup SIGHUP, and the program would keep to that.
    pid = os.posix_spawn(command[0], command, os.environ, setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    os.write(report, f"pid {pid}\n".encode())
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os.write(report, f"end {code} {usage.ru_maxrss} {usage.ru_utime} {usage.ru_stime}\n".encode())


main()
