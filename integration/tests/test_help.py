"""Help, versions, completions and usage errors: what a person meets first."""

import os
import re
import subprocess

import pytest

from ..program import ROOT

COMMANDS = ["cp", "mirror", "verify", "ls", "stat", "cat", "inspect", "rm", "add", "run", "cleanup", "completions", "queue", "queue list", "queue pause",
            "queue resume", "queue cancel", "queue retry", "queue priority", "queue limit", "queue forget", "queue move-aside",
            "cas", "cas init", "cas ls", "cas show", "cas add", "cas checkout", "cas rm", "cas du", "cas gc", "cas verify",
            "cas scrub", "cas repair", "cas import", "cas export-list", "cas doctor"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_has_examples_and_fits_80_columns(sluice, command):
    result = sluice.ok(*command.split(), "--help")
    assert result.out.startswith("OVERVIEW: ") and not result.err
    assert "EXAMPLES\n  sluice " in result.out
    examples = result.out.partition("EXAMPLES\n")[2].partition("\n\n")[0].splitlines()
    # A wrapped example cannot be copied.
    assert examples and all(line.startswith("  ") and "sluice " in line for line in examples), "\n".join(examples)
    if command:
        assert all(f"sluice {command}" in line for line in examples) or command in ("queue", "cas")
    assert all(len(line) <= 80 for line in result.out.splitlines() if not line.startswith("USAGE"))


def test_help_and_manual_name_the_same_commands(sluice):
    listed = set(re.findall(r"^  ([a-z]+) {3,}", sluice.ok("--help").out.partition("SUBCOMMANDS:")[2], re.MULTILINE))
    with open(os.path.join(ROOT, "docs/cli.md"), encoding="utf-8") as file:
        table = file.read().partition("| command | does |")[2].partition("\n## ")[0]
    named = {word for cell in re.findall(r"^\| (.+?) \| ", table, re.MULTILINE) for word in re.findall(r"`([a-z]+)", cell)}
    assert listed == named == {command.split()[0] for command in COMMANDS}
    for group in ("queue", "cas"):
        help_text = sluice.ok(group, "--help").out.partition("SUBCOMMANDS:")[2]
        assert set(re.findall(r"^  ([a-z-]+) ", help_text, re.MULTILINE)) == {
            command.split()[1] for command in COMMANDS if command.startswith(group + " ")}


@pytest.mark.parametrize("args, says", [
    (["cp", "--frobnicate", "a", "b"], ["--frobnicate", "sluice cp --help"]),
    (["cp", "--jsno", "a", "b"], ["Did you mean '--json'?"]),
    (["cpp", "a", "b"], ["no command 'cpp'", "Did you mean 'cp'?", "sluice --help"]),
    (["claenup", "out/"], ["no command 'claenup'", "Did you mean 'cleanup'?"]),
    (["frobnicate"], ["no command 'frobnicate'", "sluice --help"]),
    (["queue", "pausee", "1"], ["no command 'pausee'", "Did you mean 'pause'?"]),
    (["cp", "--sha256", "abc", "a", "b"], ["64 hexadecimal digits", "'abc'", "3 digits", "sha256sum"]),
    (["cp", "--sha256", "xyz", "a", "b"], ["'xyz'", "3 characters, 3 of them no digits"]),
    (["cp"], ["no source and no target"]),
    (["cp", "a"], ["no target"]),
    (["cp", "--transfers", "0", "a", "b"], ["--transfers must be 1 to 512"]),
    (["cp", "--transfers", "many", "a", "b"], ["many", "--transfers"]),
    (["cp", "--memory", "1M", "a", "b"], ["8M or more"]),
    (["cp", "--part-size", "6G", "a", "b"], ["64K to 5G"]),
    (["cp", "--bwlimit", "fast", "a", "b"], ["fast", "--bwlimit", "UP:DOWN"]),
    (["cp", "ftp://h/x", "b"], ["ftp://", "s3, file"]),
    (["cp", "store:x", "b"], ["store:", "./"]),
    (["cp", "-H", "no colon", "http://h/", "b"], ["Name: value"]),
    (["cp", "-H", "Range: bytes=0-", "http://h/", "b"], ["Range", "itself"]),
    (["cp", "--include", "*.x", "a", "b"], ["add -r"]),
    (["cp", "-r", "--include", "[a", "a", "b"], ["[a"]),
    (["cat", "--json", "x"], ["--json has no place"]),
    (["cat", "--range", "9", "x"], ["--range", "FIRST-LAST"]),
    (["stat"], ["location"]),
    (["inspect"], ["location"]),
    (["inspect", "-"], ["against the size"]),
    (["rm", "https://h/x"], ["only objects in S3 and files"]),
    (["cleanup", "https://h/x"], ["leaves nothing there"]),
    (["completions", "tcsh"], ["bash", "zsh", "fish"]),
    (["queue", "limit", "quick"], ["10M, 1M:off"]),
    (["queue", "priority", "2000", "1"], ["-1000 to 1000"]),
    (["queue", "pause"], ["--all"]),
    (["add", "-H", "Authorization: hunter2-token", "http://h/", "b"], ["env:VARIABLE"]),
    (["add", "-", "b"], ["use cp"]),
])
def test_a_usage_error_is_status_2_and_says_what_to_do(sluice, args, says):
    result = sluice(*args)
    assert result.rc == 2 and all(line.startswith("{") for line in result.out.splitlines()), result
    assert all(word in result.err for word in says), result
    assert "hunter2" not in result.err
    assert not os.path.exists(f"{sluice.state_home}/sluice"), "nothing was opened yet"


def test_a_usage_error_is_an_event_too(sluice):
    result = sluice("cp", "--json", "--frobnicate", "a", "b")
    assert result.rc == 2 and "--frobnicate" in result.err
    assert [event["error"]["code"] for event in result.events] == ["usage"]
    assert "--frobnicate" in result.events[0]["error"]["message"]


def test_version_is_one_word(sluice):
    result = sluice.ok("--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", result.out) and not result.err
    assert sluice.ok("cp", "--version").out == result.out


@pytest.mark.parametrize("shell, check", [
    ("bash", "source {file}; complete -p sluice"),
    ("zsh", "autoload -U compinit; compinit -u -D; source {file}; whence -w _sluice"),
    ("fish", "source {file}; complete -C 'sluice c'"),
])
def test_completions_load(sluice, tmp_path, shell, check):
    script = sluice.ok("completions", shell).out
    file = tmp_path / f"sluice.{shell}"
    file.write_text(script)
    for command in COMMANDS:
        assert command.split()[-1] in script
    if subprocess.run(["which", shell], capture_output=True, check=False).returncode:
        pytest.skip(f"{shell} is not installed")
    words = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"], "fish": ["fish", "--no-config"]}[shell]
    result = subprocess.run([*words, "-c", check.format(file=file)], capture_output=True, text=True, timeout=30,
                            env={"PATH": f"{os.path.dirname(sluice.binary)}:{os.environ['PATH']}", "HOME": str(tmp_path),
                                 "TERM": "dumb"}, check=False)
    assert result.returncode == 0 and not result.stderr, result
    assert "sluice" in result.stdout if shell != "fish" else "cp\tCopy between" in result.stdout


def test_bash_completes_commands_and_options(sluice, tmp_path):
    file = tmp_path / "sluice.bash"
    file.write_text(sluice.ok("completions", "bash").out)
    script = (f"source {file}; complete() {{ :; }}; COMP_WORDS=(sluice cp --bw); COMP_CWORD=2; COMP_LINE='sluice cp --bw';"
              "COMP_POINT=14; COMP_TYPE=9; _sluice sluice --bw cp; printf '%s\\n' \"${COMPREPLY[@]}\"")
    result = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert result.stdout.split() == ["--bwlimit"], result


# What is installed

def test_nobody_else_owns_the_libcurl_and_libxml2_that_are_loaded(sluice):
    libraries = subprocess.run(["ldd", sluice.binary], capture_output=True, text=True, check=True).stdout
    for name in ("FoundationNetworking", "FoundationXML", "not found"):
        assert name not in libraries, libraries
    for name in ("libcurl.so.4", "libxml2.so.2", "libsqlite3.so.0", "libcrypto.so.3"):
        assert libraries.count(f"\t{name} => ") == 1, libraries


def test_make_install_puts_binary_and_completions_below_destdir(sluice, tmp_path):
    # `-o release`: the binary is built already; a copy of the Makefile's tree keeps this one clean.
    place = tmp_path / "tree"
    (place / ".build/release").mkdir(parents=True)
    os.symlink(sluice.binary, place / ".build/release/sluice")
    os.symlink(os.path.join(ROOT, "Makefile"), place / "Makefile")
    subprocess.run(["make", "-C", place, "-o", "release", "install", f"DESTDIR={tmp_path}/root", "PREFIX=/usr"],
                   check=True, capture_output=True, timeout=60)
    root = tmp_path / "root/usr"
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == ["bin/sluice", "share/bash-completion/completions/sluice",
                     "share/fish/vendor_completions.d/sluice.fish", "share/zsh/site-functions/_sluice"]
    installed = subprocess.run([root / "bin/sluice", "--version"], capture_output=True, text=True, check=True)
    assert installed.stdout == sluice.ok("--version").out
    assert os.stat(root / "bin/sluice").st_mode & 0o777 == 0o755
