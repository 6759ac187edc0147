"""Deterministic content: any range of any size by seed, computed without work and without a file.

A seed gives one random 1 MiB block. Block i of the content is that block rotated left by
i * 7919 bytes (7919 is odd, so the first 2**20 blocks all differ). With the block kept twice in a row,
every rotation is one slice: a range is a list of memoryviews and nothing is copied.
"""

import functools
import hashlib
import random

BLOCK = 1 << 20
STEP = 7_919


@functools.lru_cache(maxsize=64)
def _doubled(seed):
    block = random.Random(seed).randbytes(BLOCK)
    return block + block


@functools.lru_cache(maxsize=256)
def _digest(seed, size, algorithm):
    digest = hashlib.new(algorithm)
    for view in Content(size, seed).views(0, size):
        digest.update(view)
    return digest.hexdigest()


class Content:
    """`size` bytes made from `seed`. Equal (size, seed) means equal bytes, in every process."""

    def __init__(self, size, seed=0):
        self.size, self.seed = size, seed

    def views(self, start, end):
        """The bytes [start, end) as memoryviews of at most 1 MiB."""
        doubled = memoryview(_doubled(self.seed))
        while start < end:
            index, within = divmod(start, BLOCK)
            length = min(BLOCK - within, end - start)
            at = (index * STEP) % BLOCK + within
            if at >= BLOCK:
                at -= BLOCK
            yield doubled[at:at + length]
            start += length

    def bytes(self, start=0, end=None):
        return b"".join(self.views(start, self.size if end is None else end))

    def sha256(self):
        return _digest(self.seed, self.size, "sha256")

    def md5(self):
        return _digest(self.seed, self.size, "md5")

    def write_to(self, path):
        """Writes the whole content to a file and returns the path."""
        with open(path, "wb") as file:
            for view in self.views(0, self.size):
                file.write(view)
        return path

    def __repr__(self):
        return f"Content(size={self.size}, seed={self.seed})"


class FixedContent(Content):
    """Given bytes behind the same interface."""

    def __init__(self, data):
        super().__init__(len(data), None)
        self.data = bytes(data)

    def views(self, start, end):
        view = memoryview(self.data)
        while start < end:
            length = min(BLOCK, end - start)
            yield view[start:start + length]
            start += length

    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    def md5(self):
        return hashlib.md5(self.data).hexdigest()


class CorruptContent(Content):
    """Other content with one byte changed: the one at `offset`, by XOR with `mask`."""

    def __init__(self, content, offset, mask):
        super().__init__(content.size, None)
        self.content, self.offset, self.mask = content, offset, mask

    def views(self, start, end):
        for view in self.content.views(start, end):
            if start <= self.offset < start + len(view):
                changed = bytearray(view)
                changed[self.offset - start] ^= self.mask
                yield memoryview(changed)
            else:
                yield view
            start += len(view)

    def sha256(self):
        return hashlib.sha256(self.bytes()).hexdigest()

    def md5(self):
        return hashlib.md5(self.bytes()).hexdigest()
