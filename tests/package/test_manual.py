"""Manual pages and completions: complete, clean, and understood by the shells."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from harness import leave_out

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("MOORING_BIN", ROOT / "build/release/bin"))
PAGES = ["agent.toml.5", "capture.toml.5", "mooring.1", "mooring-net.8", "mooringd.8"]


def need(*tools):
    for tool in tools:
        if not shutil.which(tool) and not (BINARIES / tool).exists():
            leave_out(f"{tool} is not there")


def run(*command, **options):
    options.setdefault("check", True)
    return subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **options).stdout


@pytest.fixture(scope="session")
def docs(tmp_path_factory):
    need("mooring-docs")
    folder = tmp_path_factory.mktemp("docs")
    run(BINARIES / "mooring-docs", folder, env={"SOURCE_DATE_EPOCH": "1790000000"})
    return folder


def command_lines(program, *words):
    """{("capture", "on"): ["--yes", ...]} as the program's own help has it."""
    text = run(BINARIES / program, *words, "--help")
    found = {words: re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M)}
    below = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    for name in re.findall(r"^  ([a-z-]+) ", below, re.M):
        found |= command_lines(program, *words, name)
    return found


@pytest.fixture(scope="session")
def commands(docs):
    return {program: command_lines(program) for program in ("mooring", "mooringd", "mooring-net")}


# ---- manual pages


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_clean(docs, page):
    need("mandoc", "groff")
    assert run("mandoc", "-T", "lint", "-W", "all", docs / "man" / page, check=False) == ""
    warnings = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-rLL=80n", str(docs / "man" / page)], text=True, capture_output=True, check=False)
    assert (warnings.returncode, warnings.stderr) == (0, "")


@pytest.mark.parametrize("program, page", [("mooring", "mooring.1"), ("mooringd", "mooringd.8"), ("mooring-net", "mooring-net.8")])
def test_every_command_and_option_is_in_its_page(docs, commands, program, page):
    text = run("groff", "-man", "-Tascii", "-P-c", "-rLL=300n", docs / "man" / page)
    text = re.sub(".\b", "", text)
    assert len(commands[program]) >= 1 and commands[program][()]
    for words, options in commands[program].items():
        if not any(other[: len(words)] == words and other != words for other in commands[program]):
            assert " ".join([program, *words]) in text, words
        assert [option for option in options if option not in text] == [], words


def test_every_key_is_in_its_page(docs):
    reference = (ROOT / "docs/configuration.md").read_text()
    page = (docs / "man/agent.toml.5").read_text()
    keys = re.findall(r"^\| `([a-z_]+)` \|", reference, re.M)
    assert len(keys) > 40
    assert [key for key in keys if f"\\fB{key}\\fR" not in page] == []


def test_the_example_is_a_configuration(docs, tmp_path):
    page = (docs / "man/agent.toml.5").read_text()
    example = page.partition(".nf\n")[2].partition(".fi\n")[0].replace("\\-", "-")
    (tmp_path / "agent.toml").write_text(example)
    assert "1 service, 1 upstream" in run(BINARIES / "mooring", "config", "check", tmp_path / "agent.toml")


def test_the_same_sources_give_the_same_pages(docs, tmp_path):
    run(BINARIES / "mooring-docs", tmp_path, env={"SOURCE_DATE_EPOCH": "1790000000"})
    assert run("diff", "-r", docs, tmp_path) == ""
    assert '"2026-09-21"' in (docs / "man/mooring.1").read_text()


# ---- completions


class Bash:
    def __init__(self, docs):
        self.folder = docs / "bash"

    def complete(self, *words):
        program = words[0]
        script = f'. "{self.folder}/{program}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _{program}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return run("bash", "--norc", "-c", script, "bash", *words).split()


class Fish:
    def __init__(self, docs):
        self.folder = docs / "fish"

    def complete(self, *words):
        script = f"source {self.folder}/{words[0]}.fish; complete -C '{' '.join(words)}'"
        return [line.split("\t")[0] for line in run("fish", "--no-config", "-c", script).splitlines()]


class Zsh:
    """A real line editor on a terminal; what it lists is what it says until it is quiet."""

    def __init__(self, docs):
        self.folder = docs / "zsh"

    def complete(self, *words):
        child, terminal = pty.fork()
        if child == 0:
            os.environ.update(TERM="dumb", COLUMNS="1000", LINES="200")
            os.execvp("zsh", ["zsh", "-f", "-i"])
        try:
            self._say(terminal, "PS1=; PROMPT_EOL_MARK=; unsetopt zle_bracketed_paste 2>/dev/null; stty rows 500 cols 1000 -echo; "
                      f"fpath=({self.folder} $fpath); autoload -U compinit; compinit -D -u; zstyle ':completion:*' list-prompt ''; "
                      "zstyle ':completion:*' verbose no; LISTMAX=0; print REA''DY\n")
            self._read(terminal, "READY")
            self._say(terminal, " ".join(words) + "\t\t")
            return re.findall(r"[\w-]+", self._read_quiet(terminal))
        finally:
            os.close(terminal)
            os.kill(child, 9)
            os.waitpid(child, 0)

    @staticmethod
    def _say(terminal, text):
        os.write(terminal, text.encode())

    @staticmethod
    def _read(terminal, mark):
        text, deadline = "", time.monotonic() + 30
        while mark not in text:
            assert time.monotonic() < deadline, text
            if select.select([terminal], [], [], 1)[0]:
                text += os.read(terminal, 65536).decode(errors="replace")
        return text

    @staticmethod
    def _read_quiet(terminal):
        """Until a second passes without a word."""
        text = ""
        while select.select([terminal], [], [], 3 if not text else 1)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
        return text


SHELLS = {"bash": Bash, "fish": Fish, "zsh": Zsh}


@pytest.fixture(params=SHELLS)
def shell(request, docs):
    need(request.param)
    return SHELLS[request.param](docs)


def test_commands_are_offered(shell):
    assert {"status", "why", "capture", "preflight", "verify-host"} <= set(shell.complete("mooring", ""))


def test_commands_below_a_group_are_offered(shell):
    found = set(shell.complete("mooring", "capture", ""))
    assert {"on", "off", "plan"} <= found and "why" not in found


def test_options_are_offered(shell):
    found = set(shell.complete("mooring", "why", "--"))
    assert {"--json", "--count"} <= found and "--yes" not in found


def test_the_values_of_an_argument_are_offered(shell):
    assert {"debug", "info", "warn", "error", "off"} <= set(shell.complete("mooring", "log-level", ""))


def test_the_values_of_an_option_are_offered(shell):
    assert {"installed", "removed", "purged"} <= set(shell.complete("mooring", "verify-host", "--expect", ""))


def test_an_option_with_its_value_is_skipped(shell):
    assert {"on", "off"} <= set(shell.complete("mooring", "--config", "status", "capture", ""))


@pytest.mark.parametrize("kind", ["bash", "fish"])
def test_nothing_is_left_out(docs, commands, kind):
    """Each command and option of the help is offered where it belongs."""
    need(kind)
    shell = SHELLS[kind](docs)
    for program in ("mooring", "mooringd"):
        for words, options in commands[program].items():
            below = {other[len(words)] for other in commands[program] if len(other) == len(words) + 1 and other[: len(words)] == words}
            assert below <= set(shell.complete(program, *words, "")) | {""}, words
            assert set(options) <= set(shell.complete(program, *words, "--")), words


@pytest.mark.parametrize("file", ["bash/mooring", "bash/mooringd", "zsh/_mooring", "fish/mooring.fish"])
def test_shells_can_read_them(docs, file):
    name = file.split("/")[0]
    need(name)
    assert run(name, "-n", docs / file) == ""
