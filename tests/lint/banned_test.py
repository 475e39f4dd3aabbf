#!/usr/bin/env python3
"""Fails when product code uses a word that the house style bans.

banned_test.py ROOT              check agent/ and transparent-proxy/
banned_test.py ROOT --self-test  every pattern must find its own sample, and nothing in the harmless ones
"""
import pathlib
import re
import sys

# pattern, sample that it must find, why, instead
BANNED = [
    (r"\.\s*detach\s*\(\s*\)", "thread.detach();", "outlives what it refers to", "join in the owner's destructor"),
    (r"\bu?sleep\s*\(|\bsleep_(for|until)\b|\bnanosleep\b", "usleep(10);", "blocks a loop", "a timer of the loop"),
    (r"\bgetaddrinfo\b", "getaddrinfo(a, b, c, d);", "blocks for seconds", "uv_getaddrinfo on the control loop"),
    (r"\bsystem\s*\(", 'system(text);', "a shell sees our arguments", "the Runner, with an argument vector"),
    (r"\bpopen\s*\(", "popen(text, mode);", "a shell sees our arguments", "the Runner, with an argument vector"),
    (r"\bs?rand(_r)?\s*\(", "x = rand();", "predictable, shared state", "std::mt19937 of the worker, or RAND_bytes for secrets"),
    (r"\bstrtok(_r)?\b", "strtok(a, b);", "writes into its input", "std::string_view"),
    (r"\blocaltime\b", "localtime(&t);", "shared state, and logs are UTC", "gmtime_r or core/clock"),
    (r"\bstd::w?regex\b", "std::regex r(x);", "recursion and run time chosen by the peer", "string_view, or RE2 for policies"),
    (r"\batomic\s*<\s*std::shared_ptr", "std::atomic<std::shared_ptr<int>> a;", "takes a lock", "a mailbox message"),
    (r"\bco_(await|yield|return)\b", "co_await f();", "g++ 12 destroys designated-initialiser temporaries twice", "a state machine"),
]
HARMLESS = ["uv_getaddrinfo(loop, r, cb);", "file_system(x);", "// co_await is banned", 'log("sleep(1)");', "operand(1);"]
COMMENT_OR_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def problems(text):
    code = COMMENT_OR_TEXT.sub(blank, text)
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, _, why, instead in BANNED:
            match = re.search(pattern, line)
            if match:
                yield f"{number}: `{match.group(0).strip()}`: {why}; use {instead}"


def self_test():
    wrong = [f"not found: {sample}" for _, sample, _, _ in BANNED if not list(problems(sample))]
    wrong += [f"found in harmless: {text}" for text in HARMLESS if list(problems(text))]
    return wrong


def check_tree(root):
    for top in ("agent", "transparent-proxy"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix in {".h", ".cc"}:
                for problem in problems(file.read_text()):
                    yield f"{file.relative_to(root)}:{problem}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    found = self_test() if "--self-test" in sys.argv[2:] else list(check_tree(root))
    for problem in found:
        print(problem)
    print(f"banned words: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
