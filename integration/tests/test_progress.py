"""Progress on a terminal: bars that fit, name what happens, and leave nothing behind; plain lines elsewhere."""

import re
import signal

import pytest

from ..terminal import Terminal

MIB = 1 << 20
NAMES = ["model-00001-of-00004.safetensors", "config.json", "模型文件-第一部分.gguf"]
PERCENT = re.compile(r"(\d+)%")
BAR = re.compile("[█░]+")


@pytest.fixture
def slow(make_origin):
    """slow(names, size, rate) -> URLs of objects that arrive at `rate` bytes per second and connection."""
    def make(names=NAMES, size=MIB, rate=MIB // 2):
        origin = make_origin(rate=rate, send_buffer=16 << 10)
        return [origin.add("/" + name, size=size, seed=seed) for seed, name in enumerate(names)]
    return make


def bars(frame):
    return [row for row in frame if BAR.search(row)]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_for_each_transfer_and_a_total_that_fit_the_window(sluice, slow, columns):
    with Terminal(sluice, "cp", "--connections", 1, *slow(), "out/", columns=columns) as terminal:
        assert terminal.wait() == 0, terminal.screen.text
        screen = terminal.screen
    assert screen.wraps == 0 and not screen.unknown, screen.text
    full = [bars(frame) for frame in screen.frames if len(bars(frame)) == 4]
    assert len(full) > 3, "three transfers and the total were drawn together"
    for rows in full:
        assert "/3" in rows[3] and not any("/3 " in row for row in rows[:3])
        # The bars of a frame begin in one column (wide characters are two).
        starts = {sum(2 if ord(one) > 0x2E80 else 1 for one in BAR.split(row)[0]) for row in rows}
        assert len(starts) == 1, "\n".join(rows)
    drawn = [row for frame in screen.frames for row in bars(frame)]
    # Whole is what is proven: a transfer's row goes then, and the total says it only of all three.
    whole = [row for row in drawn if PERCENT.search(row) and int(PERCENT.search(row)[1]) >= 100]
    assert all("3/3" in row for row in whole), "\n".join(whole)
    assert any("KiB/s" in row for row in drawn)
    assert any(re.search(r"\d:\d\d$", row) for row in drawn) == (columns >= 80)
    grown = [int(PERCENT.search(rows[3])[1]) for rows in full]
    assert grown == sorted(grown) and grown[-1] > grown[0]


@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_of_the_bars_is_left_after_the_end(sluice, slow, columns):
    with Terminal(sluice, "cp", "--connections", 1, *slow(size=MIB // 2), "out/", columns=columns) as terminal:
        assert terminal.wait() == 0
        screen = terminal.screen
    rows = screen.text.rstrip("\n").split("\n")
    assert len(rows) == 4 and all(row.startswith("done ") for row in rows[:3]), screen.text
    assert re.fullmatch(r"3 files, 1\.5 MiB, in \d\.\d s, .+/s", rows[3])
    assert not BAR.search(screen.text)


def test_all_bytes_moved_is_not_yet_100_percent(sluice, s3_fault, payload):
    """The last answer is late: 99 %, and the phase says why."""
    source = payload(12 * MIB, seed=3).write_to(f"{sluice.work}/model.gguf")
    s3_fault.fault("CompleteMultipartUpload", {"do": "delay", "seconds": 1.5, "times": 1})
    with Terminal(sluice, "cp", source, "s3://bucket/", endpoint=s3_fault.endpoint) as terminal:
        assert terminal.wait() == 0, terminal.screen.text
        screen = terminal.screen
    assert "100%" not in terminal.raw
    assert sum("99%" in row and "committing" in row for frame in screen.frames for row in frame) > 5
    assert s3_fault.object("bucket", "model.gguf").size == 12 * MIB


def test_one_object_has_one_line(sluice, slow):
    with Terminal(sluice, "cp", "--connections", 1, *slow(NAMES[:1]), "out/") as terminal:
        assert terminal.wait() == 0
    # Before the plan is complete there may be a total.
    assert {len(bars(frame)) for frame in terminal.screen.frames[5:]} <= {0, 1}


def test_a_wait_for_the_next_attempt_is_shown(sluice, origin):
    url = origin.add("/x.bin", size=MIB, seed=1)
    origin.fault("/x.bin", {"do": "status", "status": 503, "headers": {"Retry-After": "2"}, "times": 1})
    with Terminal(sluice, "cp", url, "x.bin") as terminal:
        assert terminal.wait() == 0, terminal.screen.text
    assert any("waiting" in row and re.search(r"0:0[12]$", row) for frame in terminal.screen.frames for row in frame)


@pytest.mark.parametrize("columns", [40, 80])
def test_ctrl_c_leaves_a_clean_screen_and_says_what_comes_next(sluice, slow, columns):
    urls = slow(size=8 * MIB)
    with Terminal(sluice, "cp", "--connections", 1, *urls, "out/", columns=columns) as terminal:
        terminal.until("█")
        terminal.type("\x03")
        assert terminal.wait(20) == -signal.SIGINT
        text = terminal.screen.text
    assert not BAR.search(text) and "^C" not in text, text
    assert re.search(r"0 of 3 files, .+ moved, in \d+\.\d s", text), text
    assert "run the same command to continue" in text.replace("\n", "")
    assert terminal.raw.endswith("\n"), "the prompt begins in the first column"


def test_an_error_is_printed_whole_above_the_bars(sluice, slow, origin):
    urls = slow(NAMES[:2])
    gone = f"{origin.url}/nothing/" + "n" * 60
    with Terminal(sluice, "cp", "--connections", 1, gone, *urls, "out/", columns=40) as terminal:
        assert terminal.wait() == 5
        text = terminal.screen.text.replace("\n", "")
    assert f"failed  {gone}: " in text and "404" in text
    assert re.search(r"2 files, 2 MiB, 1 failed, in ", text)


@pytest.mark.parametrize("flags", [[], ["--no-progress"]])
def test_plain_lines_when_nobody_looks_or_bars_are_not_wanted(sluice, origin, flags):
    url = origin.add("/x.bin", size=MIB, seed=1)
    if flags:
        with Terminal(sluice, "cp", *flags, url, "x.bin") as terminal:
            assert terminal.wait() == 0
        output = terminal.raw.replace("\r\n", "\n")
    else:
        output = sluice.ok("cp", url, "x.bin").err
    assert "\x1b" not in output and "\r" not in output
    assert re.fullmatch(rf"done    \S+/x\.bin  1 MiB, .+, sha256 {origin.sha256('/x.bin')}\n"
                        r"1 file, 1 MiB, in \d+\.\d+ s(, .+/s)?\n", output)


def test_quiet_draws_nothing(sluice, origin):
    with Terminal(sluice, "cp", "-q", origin.add("/x.bin", size=MIB, seed=1), "x.bin") as terminal:
        assert terminal.wait() == 0
    assert not terminal.raw


def test_json_has_stdout_to_itself_on_a_terminal_too(sluice, origin):
    with Terminal(sluice, "cp", "--json", origin.add("/x.bin", size=MIB, seed=1), "x.bin") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.raw and all(line.startswith("{") for line in terminal.raw.splitlines())


def test_a_log_hears_every_ten_seconds_that_work_goes_on(sluice, slow):
    url = slow(NAMES[:1], size=5 * MIB)[0]
    result = sluice.ok("cp", "--connections", 1, url, "out/", timeout=40)
    beats = [line for line in result.err.splitlines() if line.startswith("moving ")]
    assert len(beats) == 1, result
    assert re.fullmatch(r"moving  0/1 files, \d\d%, .+ MiB of 5 MiB, .+ KiB/s, 0:\d\d left", beats[0])
