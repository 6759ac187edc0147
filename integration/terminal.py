"""Runs the built `sluice` on a terminal of our own (a pty), and keeps its screen and every frame that was drawn."""

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
import unicodedata

# What sluice sends (ECMA-48): CUU, EL, ED. Anything else is kept in `unknown`.
SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


def width(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """Rows of text, all that scrolled away included. `frames`: the rows after each clearing to the end of the screen;
    `wraps` counts rows that went on at the next one because they were too long."""

    def __init__(self, columns):
        self.columns = columns
        self.rows, self.row, self.column = [""], 0, 0
        self.frames, self.unknown, self.wraps = [], [], 0
        self.rest = ""

    def feed(self, text):
        text, self.rest = self.rest + text, ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if found is None and len(text) - at < 8:
                    self.rest = text[at:]
                    return
                self._control(found) if found else self.unknown.append(text[at:at + 8])
                at = found.end() if found else at + 1
            else:
                self._put(text[at])
                at += 1

    def _control(self, found):
        count, kind = int(found[1] or 1), found[2]
        if kind == "A":
            self.row = max(0, self.row - count)
        elif kind == "K":
            self._cut()
        elif kind == "J":
            self._cut()
            del self.rows[self.row + 1:]
            self.frames.append([row.rstrip() for row in self.rows])
        else:
            self.unknown.append(found[0])

    def _cut(self):
        """Clears from the cursor to the end of its row; rows are made of characters, so columns are counted."""
        kept, used = "", 0
        for character in self.rows[self.row]:
            if used + width(character) > self.column:
                break
            kept, used = kept + character, used + width(character)
        self.rows[self.row] = kept + " " * (self.column - used)

    def _put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        elif character == "\x07" or character < " ":
            self.unknown.append(character)
        else:
            if self.column + width(character) > self.columns:
                self.wraps += 1
                self.column = 0
                self._down()
            rest = self.rows[self.row]
            self._cut()
            before = self.rows[self.row]
            skipped, tail = 0, ""
            for other in rest:
                if skipped >= self.column + width(character):
                    tail += other
                skipped += width(other)
            self.rows[self.row] = before + character + tail
            self.column += width(character)

    def _down(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    @property
    def text(self):
        return "\n".join(row.rstrip() for row in self.rows)


class Terminal:
    """`with Terminal(sluice, "cp", a, b, columns=80) as terminal:` starts it; `.wait()` returns the exit status
    (negative: signal), `.screen` is what a person sees, `.type(text)` types ("\\x03" is Ctrl-C)."""

    def __init__(self, sluice, *args, columns=80, rows=24, endpoint=None, env=None):
        self.screen = Screen(columns)
        self.raw = ""
        self.lock = threading.Condition()
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", sluice.binary, *map(str, args)],
            stdin=slave, stdout=slave, stderr=slave, cwd=sluice.work, start_new_session=True,
            env=sluice.environment({"LC_ALL": "C.UTF-8", "TERM": "xterm"} | (env or {}), endpoint),
            # The session's terminal: what is typed can then be a signal.
            preexec_fn=lambda: (fcntl.ioctl(0, termios.TIOCSCTTY, 0), signal.signal(signal.SIGINT, signal.SIG_DFL)))
        os.close(slave)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self.master, 65_536)
            except OSError:
                data = b""  # EIO: the last one that had the terminal open is gone.
            with self.lock:
                text = decoder.decode(data)
                self.raw += text
                self.screen.feed(text)
                self.lock.notify_all()
            if not data:
                return

    def until(self, words, seconds=20):
        """Waits until the screen shows `words`."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while words not in self.screen.text:
                if not self.lock.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise TimeoutError(f"no {words!r} on the screen:\n{self.screen.text}")

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, seconds=60):
        status = self.process.wait(seconds)
        self.reader.join(10)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.reader.join(10)
        os.close(self.master)
