"""Sums the tests of xUnit files and prints them in one line: count.py FILE... Status 1 if any failed or none ran.

`swift test` writes one file for XCTest, which we do not use and which stays empty, and one for Swift Testing.
"""

import os
import sys
from xml.etree import ElementTree


def count(path):
    """(passed, failed, skipped) of one file."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    return len(cases) - failed - skipped, failed, skipped


def main():
    files = [path for path in sys.argv[1:] if os.path.exists(path) and os.path.getsize(path)]
    passed, failed, skipped = (sum(column) for column in zip((0, 0, 0), *map(count, files)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
