"""A DNS server that answers as a test says: an address, NXDOMAIN, SERVFAIL or silence (faults.md N-08).

The resolver reads only port 53 from resolv.conf, so each server takes a loopback address of its own
(127.a.b.c:53), and the program under test runs in a mount namespace with its own /etc/resolv.conf.
"""

import random
import socket
import struct
import threading

MODES = ("address", "nxdomain", "servfail", "silent")
CODES = {"address": 0, "nxdomain": 3, "servfail": 2}
A = 1


class Dns:
    """`mode` is one of MODES and may change; `addresses` answer A questions; `asked` lists the names."""

    def __init__(self, resolv_conf, addresses=("127.0.0.1",)):
        self.mode, self.addresses, self.asked = "address", list(addresses), []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        pick = random.SystemRandom()
        self.address = f"127.{pick.randint(1, 254)}.{pick.randint(1, 254)}.{pick.randint(1, 254)}"
        self._sock.bind((self.address, 53))
        with open(resolv_conf, "w", encoding="utf-8") as file:
            file.write(f"nameserver {self.address}\n")
        # Words to put before a program, so that it asks this server.
        self.prefix = ["unshare", "-m", "sh", "-c",
                       f'mount --bind "{resolv_conf}" /etc/resolv.conf && exec "$@"', "sh"]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        # A datagram of our own wakes the thread; close alone would not.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))

    def _serve(self):
        with self._sock:
            while True:
                question, peer = self._sock.recvfrom(4096)
                if not question:
                    return
                if len(question) < 17:
                    continue
                answer = self._answer(question)
                if answer:
                    self._sock.sendto(answer, peer)

    def _answer(self, question):
        """RFC 1035 section 4: the question again, with the addresses for an A question."""
        at, labels = 12, []
        while length := question[at]:
            labels.append(question[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length
        kind, = struct.unpack("!H", question[at + 1:at + 3])
        self.asked.append(".".join(labels))
        if self.mode == "silent":
            return None
        records = b""
        count = 0
        if self.mode == "address" and kind == A:
            for address in self.addresses:
                records += struct.pack("!HHHIH", 0xC00C, A, 1, 1, 4) + socket.inet_aton(address)
                count += 1
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | CODES[self.mode], 1, count, 0, 0)
        return head + question[12:at + 5] + records
