#!/usr/bin/env python3
"""Fails when a module includes, or links, one that its row of docs/architecture.md does not list, or a library's
header that another module wraps.

layers_test.py ROOT              check the tree
layers_test.py ROOT --self-test  plant violations in a copy of the rules and expect each to be found
"""
import pathlib
import re
import sys
import tempfile

ROW = re.compile(r"^\| (\d+) \| `([\w-]+)` \|[^|]*\| ([^|]*) \|$")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
DEPENDS = re.compile(r"mooring_module\(\s*(\w+)([^)]*)\)")
SOURCES = {".h", ".cc"}
LIBRARY = re.compile(r"^\s*#\s*include\s+<(uv\.h|openssl/|nghttp2/|llhttp\.h|curl/)")
WRAPPED_BY = {  # the start of a library's headers, and the modules that may see its types
    "uv.h": {"core", "net"},
    "openssl/": {"tls", "identity"},
    "nghttp2/": {"http"},
    "llhttp.h": {"http"},
    "curl/": {"net"},
}


def read_table(document):
    table = {}
    for line in document.read_text().splitlines():
        match = ROW.match(line)
        if match:
            layer, module, allowed = match.groups()
            table[module] = (int(layer), set() if allowed == "—" else set(allowed.split()))
    return table


def check_table(table):
    for module, (layer, allowed) in table.items():
        for other in sorted(allowed):
            if other not in table:
                yield f"docs/architecture.md: `{module}` may include `{other}`, which has no row"
            elif table[other][0] >= layer:
                yield f"docs/architecture.md: `{module}` (layer {layer}) may not include `{other}` (layer {table[other][0]})"


def module_folders(root):
    for folder in sorted((root / "agent").iterdir()):
        if folder.is_dir():
            yield folder.name, folder
    if (root / "transparent-proxy").is_dir():
        yield "transparent-proxy", root / "transparent-proxy"


def check_includes(root, table):
    for module, folder in module_folders(root):
        for file in sorted(path for path in folder.rglob("*") if path.suffix in SOURCES):
            where = file.relative_to(root)
            if module not in table:
                yield f"{where}: folder `{module}` has no row in docs/architecture.md"
                break
            for number, line in enumerate(file.read_text().splitlines(), 1):
                library = LIBRARY.match(line)
                if library and module not in WRAPPED_BY[library.group(1)]:
                    yield f"{where}:{number}: `{module}` includes <{library.group(1)}>, which {' and '.join(sorted(WRAPPED_BY[library.group(1)]))} wrap"
                match = INCLUDE.match(line)
                if not match:
                    continue
                other = match.group(1).split("/")[0]
                if "/" not in match.group(1) or other not in table:
                    yield f'{where}:{number}: include "{match.group(1)}" names no module; write it as "module/file.h"'
                elif other != module and other not in table[module][1]:
                    yield f"{where}:{number}: `{module}` includes `{other}`, which its row does not allow"


def check_links(root, table):
    for module, folder in module_folders(root):
        build = folder / "CMakeLists.txt"
        if module not in table or not build.exists():
            continue
        for name, arguments in DEPENDS.findall(build.read_text()):
            words = arguments.split()
            depends = []
            if "DEPENDS" in words:
                for word in words[words.index("DEPENDS") + 1 :]:
                    if word.isupper():
                        break
                    depends.append(word)
            for other in depends:
                if other != name and other not in table[module][1]:
                    yield f"{build.relative_to(root)}: `{name}` links `{other}`, which the row of `{module}` does not allow"


def problems(root):
    table = read_table(root / "docs/architecture.md")
    if "core" not in table:
        return ["docs/architecture.md: no module table found"]
    return [*check_table(table), *check_includes(root, table), *check_links(root, table)]


PLANTED = {  # what is written, and what must be said about it
    "agent/core/up.cc": ('#include "net/listener.h"\n', "`core` includes `net`"),
    "agent/identity/side.h": ('#include "config/model.h"\n', "`identity` includes `config`"),
    "agent/net/short.cc": ('#include "listener.h"\n', "names no module"),
    "agent/stray/stray.cc": ("int stray;\n", "`stray` has no row"),
    "agent/http/CMakeLists.txt": ("mooring_module(http SOURCES a.cc DEPENDS core net LIBRARIES x)\n", "`http` links `net`"),
    "agent/app/look.cc": ("#include <openssl/x509.h>\n", "`app` includes <openssl/>, which identity and tls wrap"),
    "transparent-proxy/plan.cc": ('#include "proxy/relay.h"\n', "`transparent-proxy` includes `proxy`"),
}


def self_test(root):
    missed = 0
    for path, (text, expected) in PLANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            (copy / "docs").mkdir()
            (copy / "docs/architecture.md").write_text((root / "docs/architecture.md").read_text())
            (copy / path).parent.mkdir(parents=True)
            (copy / "agent").mkdir(exist_ok=True)
            (copy / path).write_text(text)
            found = problems(copy)
        if not any(expected in problem for problem in found):
            print(f"planted {path} ({expected}), found {found}")
            missed += 1
    return missed


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if "--self-test" in sys.argv[2:]:
        missed = self_test(root)
        print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted violations found")
        return 1 if missed else 0
    found = problems(root)
    for problem in found:
        print(problem)
    print(f"layers: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
