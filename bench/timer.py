"""Runs one program some times and reports what it used, from a process so small that its own peak memory, which Linux
hands on through exec, does not show. Not through a shell or setpriv: they would count as start-up time.

    python -I -S timer.py REPORT_FD TIMES OUTPUT -- PROGRAM ARGS...

Writes a JSON line to REPORT_FD: status, wall and cpu seconds (means over TIMES), peak bytes.
"""

import os
import sys
import time


def main():
    report, times, output, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[5:]
    os.set_inheritable(report, False)
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, sink, 1),
               (os.POSIX_SPAWN_DUP2, sink, 2)]
    wall = cpu = peak = 0
    for _ in range(times):
        start = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        wall += time.monotonic() - start
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss << 10)
        if status:
            break
    code = os.waitstatus_to_exitcode(status)
    os.write(report, f'{{"status": {code}, "wall": {wall / times}, "cpu": {cpu / times}, "peak": {peak}}}\n'.encode())


main()
