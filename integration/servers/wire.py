"""One accepted connection with full control of its bytes: a buffered reader, counted writes, RST and rude ends."""

import socket
import ssl
import struct

LIMIT = 1 << 16


class PeerGone(Exception):
    """The client closed or reset the connection."""


class Wire:
    """A connected socket, plain or TLS. `sent` counts the bytes the kernel took from us."""

    def __init__(self, sock, peer):
        self.sock, self.peer = sock, peer
        self.buffer = bytearray()
        self.sent = 0
        self.closed = False

    # Reading

    def _fill(self, size=65_536):
        try:
            data = self.sock.recv(size)
        except OSError as error:
            raise PeerGone(str(error)) from error
        if not data:
            raise PeerGone("closed")
        self.buffer += data

    def line(self, limit=LIMIT):
        """The next line without its CRLF (or LF), as bytes."""
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > limit:
                raise PeerGone("line too long")
            self._fill()
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 1]
        return line.removesuffix(b"\r")

    def exactly(self, size):
        """`size` bytes, read straight into one buffer."""
        out = bytearray(size)
        view, have = memoryview(out), 0
        while have < size:
            have += self.into(view[have:])
        return out

    def into(self, view):
        """At least one byte into `view`; returns how many. The buffered ones come first."""
        if self.buffer:
            count = min(len(self.buffer), len(view))
            view[:count] = self.buffer[:count]
            del self.buffer[:count]
            return count
        try:
            count = self.sock.recv_into(view)
        except OSError as error:
            raise PeerGone(str(error)) from error
        if count == 0:
            raise PeerGone("closed")
        return count

    def discard(self, size):
        """Throws `size` body bytes away. On a plain socket the kernel drops them without copying (MSG_TRUNC, tcp(7))."""
        taken = min(size, len(self.buffer))
        del self.buffer[:taken]
        size -= taken
        scratch = memoryview(bytearray(min(size, 1 << 20)))
        flags = 0 if isinstance(self.sock, ssl.SSLSocket) else socket.MSG_TRUNC
        while size:
            try:
                count = self.sock.recv_into(scratch, min(size, len(scratch)), flags)
            except OSError as error:
                raise PeerGone(str(error)) from error
            if count == 0:
                raise PeerGone("closed")
            size -= count

    # Writing

    def send(self, data):
        """All of `data`; returns nothing, counts in `sent` also what a failing send got rid of."""
        view = memoryview(data)
        while view:
            try:
                count = self.sock.send(view)
            except OSError as error:
                raise PeerGone(str(error)) from error
            self.sent += count
            view = view[count:]

    # Ends

    def close(self, notify=True):
        """FIN. Over TLS with `notify` a close_notify goes first; without it the cut is what N-13 describes."""
        if self.closed:
            return
        self.closed = True
        try:
            if notify and isinstance(self.sock, ssl.SSLSocket):
                self.sock.settimeout(1)
                self.sock.unwrap()
        except (OSError, ValueError):
            pass  # The peer went first: nothing is left to notify.
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """RST: SO_LINGER with a zero timeout makes close(2) abort the connection (socket(7))."""
        self.closed = True
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
        except OSError:
            pass

    def shutdown(self):
        """Wakes a thread that is blocked on this connection."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
