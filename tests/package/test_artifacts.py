"""What is published: programs for every Linux with glibc 2.17, in packages that two builds make alike.

    pytest tests/package/test_artifacts.py       builds them first, which takes minutes the first time
    MOORING_PACKAGES=DIR pytest ...              takes those of packaging/build.sh --output DIR
"""
import gzip
import json
import os
import pathlib
import re
import signal
import stat
import subprocess

import pytest

import artifacts
from artifacts import ARCHS, ROOT, leave_out, need, run

pytestmark = pytest.mark.long

MAX_INSTALLED = 15 * 1000 * 1000
GLIBC_LIBRARIES = re.compile(r"(libc|libm|libdl|libpthread|librt|libutil)\.so\.\d|ld-linux[-a-z0-9_]*\.so\.\d")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    need("dpkg-deb", "rpmbuild", "readelf", "llvm-strip-19")
    if os.environ.get("MOORING_PACKAGES"):
        return pathlib.Path(os.environ["MOORING_PACKAGES"])
    if not list(artifacts.CACHE.glob("zig-*/ziglang/zig")) and os.environ.get("MOORING_REQUIRE_ALL") != "1":
        leave_out("packaging/libraries.sh --fetch has not been run")
    output = tmp_path_factory.mktemp("packages")
    artifacts.build(output)
    return output


@pytest.fixture(scope="session", params=ARCHS)
def package(request, folder, tmp_path_factory):
    if not list(folder.glob(f"*_{request.param}.deb")):
        leave_out(f"no package for {request.param} was built")
    return artifacts.Package(request.param, folder, tmp_path_factory.mktemp(request.param))


# ---- the programs

def test_no_symbol_is_newer_than_glibc_2_17(package):
    for program in package.programs:
        versions = artifacts.symbol_versions(program, "GLIBC")
        assert versions and versions[-1] <= (2, 17), program
        assert not artifacts.symbol_versions(program, "GLIBCXX")


def test_nothing_but_glibc_is_loaded(package):
    for program in package.programs:
        dynamic = run("readelf", "-W", "--dynamic", program).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        assert needed and all(GLIBC_LIBRARIES.fullmatch(name) for name in needed), needed
        assert "RPATH" not in dynamic and "RUNPATH" not in dynamic


def test_programs_are_hardened(package):
    for program in package.programs:
        header = run("readelf", "-W", "--file-header", "--program-headers", program).stdout
        dynamic = run("readelf", "-W", "--dynamic", program).stdout
        assert re.search(r"Type: +DYN", header), "position-independent"
        assert "GNU_RELRO" in header and re.search(r"FLAGS.*(BIND_NOW|NOW)", dynamic), "full RELRO"
        assert "TEXTREL" not in dynamic
        assert re.search(r"GNU_STACK.* RW +0", header), "no executable stack"
        flags = re.findall(r"LOAD +(?:0x\w+ +){5}([RWE ]{3})", header)
        assert flags and not any("W" in each and "E" in each for each in flags), "no page both written and executed"
        # arm64 asks the loader where the guard is.
        has_guards = stack_guards(program) > 100 if package.arch == "amd64" else b"__stack_chk_guard\0" in program.read_bytes()
        assert has_guards, "stack protector"


def stack_guards(program):
    """amd64 reads the guard at %fs:0x28, into any register."""
    return len(re.findall(rb"\x64[\x48\x4c]\x8b.\x25\x28\x00\x00\x00", program.read_bytes(), re.DOTALL))


def test_stack_protector_is_that_of_glibc(package):
    """Its canary is another one in each process; that of zig's runtime is a constant."""
    wanted = {"__stack_chk_fail"} | ({"__stack_chk_guard"} if package.arch == "arm64" else set())  # amd64: in the thread's block
    for program in package.programs:
        found = re.findall(r"UND (__stack_chk_\w+)@", run("readelf", "-W", "--dyn-syms", program).stdout)
        assert set(found) == wanted, program


def test_no_symbol_table_is_left(package):
    for program in package.programs:
        assert not re.search(r" \.(symtab|debug_\w+)", run("readelf", "-W", "--sections", program).stdout)


def test_arm64_runs_with_pages_of_64_kib(package):
    if package.arch != "arm64":
        pytest.skip("pages of amd64 have 4 KiB")
    for program in package.programs:
        alignments = re.findall(r"LOAD.* (0x\w+)$", run("readelf", "-W", "--program-headers", program).stdout, re.MULTILINE)
        assert alignments and all(int(each, 16) % 0x10000 == 0 for each in alignments)


def test_no_path_of_the_build_machine_is_inside(package):
    for program in package.programs:
        data = program.read_bytes()
        for path in (ROOT, artifacts.CACHE, pathlib.Path.home()):
            if path != pathlib.Path("/"):
                assert str(path).encode() + b"/" not in data, f"{program}: {path}"


def write_configuration(folder, inside):
    """agent.toml and an identity, which the program sees below `inside`."""
    folder.mkdir(exist_ok=True)
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run(*new, "-subj", "/CN=root", "-addext", "subjectAltName=URI:spiffe://shop.example", "-addext", "keyUsage=critical,keyCertSign",
        "-keyout", folder / "root.key", "-out", folder / "bundle.pem")
    run(*new, "-subj", "/CN=a", "-addext", "subjectAltName=URI:spiffe://shop.example/a", "-addext", "keyUsage=critical,digitalSignature",
        "-addext", "basicConstraints=critical,CA:FALSE", "-CA", folder / "bundle.pem", "-CAkey", folder / "root.key",
        "-keyout", folder / "key.pem", "-out", folder / "svid.pem")
    identity = "".join(f'{name} = "{inside}/{name}.pem"\n' for name in ("svid", "key", "bundle"))
    (folder / "agent.toml").write_text(f'[host]\ntrust_domain = "shop.example"\n[identity]\n{identity}[admin]\nsocket = "{inside}/admin.sock"\n')


def test_runs_on_debian_11(package):
    assert package.start("/usr/bin/mooring", "--version").stdout == "mooring 0.1.0\n"
    assert package.start("/usr/sbin/mooringd", "--version").stdout == "mooringd 0.1.0\n"
    assert "--" in package.start("/usr/libexec/mooring/mooring-net", "--help").stdout
    etc = artifacts.debian_11(package.arch) / "etc/mooring"
    write_configuration(etc, "/etc/mooring")
    assert "agent.toml" in package.start("/usr/sbin/mooringd", "--check").stdout
    (etc / "agent.toml").write_text("[host]\ntrust_domian = \"x\"\n")
    refused = package.start("/usr/sbin/mooringd", "--check", check=False)
    assert refused.returncode == 78 and "trust_domian" in refused.stdout


def opened_by(log):
    return re.findall(r'open(?:at)?\(.*?"(.*?)"', log.read_text())


def test_no_openssl_configuration_of_the_host_is_read(package, tmp_path):
    if package.arch != artifacts.native_arch():
        pytest.skip("strace sees the emulator, not the program; the source is the same")
    need("strace", "openssl")
    hostile = tmp_path / "openssl.cnf"
    hostile.write_text("openssl_conf = a\n[a]\nproviders = b\n[b]\nevil = c\n[c]\nmodule = /nonexistent/evil.so\nactivate = 1\n")
    places = {"OPENSSL_CONF": str(hostile), "OPENSSL_MODULES": str(tmp_path), "OPENSSL_ENGINES": str(tmp_path), "SSL_CERT_DIR": str(tmp_path)}
    strace = ["strace", "-f", "-e", "trace=open,openat", "-o", tmp_path / "log"]
    run(*strace, "openssl", "list", "-providers", env={**os.environ, **places}, check=False)
    assert str(hostile) in opened_by(tmp_path / "log"), "the trap works"

    write_configuration(tmp_path, tmp_path)
    agent = [package.root / "usr/bin/mooring", "mooringd", "--config", tmp_path / "agent.toml"]
    with subprocess.Popen(list(map(str, [*strace, *agent])), env={**os.environ, **places}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if " serves with " in line:
                (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(child), signal.SIGTERM)
    opened = opened_by(tmp_path / "log")
    assert str(tmp_path / "svid.pem") in opened and "error" not in "".join(lines), "".join(lines)
    assert not [path for path in opened if path.endswith((".cnf", ".so")) or "/ssl/" in path]


# ---- the packages

def test_files_owners_and_modes_are_those_of_the_list(package):
    listed = {path: (kind, mode, owner) for kind, path, mode, owner, _ in artifacts.contents("deb")}
    rows = [line.split(maxsplit=5) for line in run("dpkg-deb", "-c", package.deb).stdout.splitlines()]
    found = {row[5].split(" -> ")[0].removeprefix(".").rstrip("/"): (row[0], row[1]) for row in rows}
    assert {path for path, (perms, _) in found.items() if not perms.startswith("d")} == {p for p, row in listed.items() if row[0] != "dir"}
    for path, (kind, mode, _) in listed.items():
        if kind != "link":
            assert found[path] == (stat.filemode((stat.S_IFDIR if kind == "dir" else stat.S_IFREG) | int(mode, 8)), "root/root"), path
    conffiles = {path for *_, path, _mode, _owner, flags in artifacts.contents("deb") if "conf" in flags}
    control = run("dpkg-deb", "-I", package.deb, "conffiles").stdout.split()
    assert set(control) == conffiles


def test_rpm_owns_all_of_its_folders(package):
    listed = {path: (kind, mode, owner, flags) for kind, path, mode, owner, flags in artifacts.contents("rpm")}
    rows = run("rpm", "-qp", "--nosignature", "--qf", "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}|\n]", package.rpm).stdout
    found = {line.split()[0]: line.rstrip("|").split()[1:] for line in rows.splitlines()}
    assert set(listed) <= set(found)
    for path, (kind, mode, owner, flags) in listed.items():
        if kind != "link":
            assert int(found[path][0], 8) & 0o7777 == int(mode, 8) and found[path][1] == owner, path
            assert ("conf" in flags) == (found[path][2:] == ["cn"]), f"{path}: config(noreplace)"
    for path in found:
        parents = [str(p) for p in pathlib.PurePath(path).parents]
        ours = [p for p in parents if p in listed]
        assert not ours or all(p in found for p in parents[:parents.index(ours[-1])]), path
    assert not [path for path in set(found) - set(listed) if stat.S_ISREG(int(found[path][0], 8))]


def test_installed_size_is_below_15_mb(package):
    assert sum(p.lstat().st_size for p in package.root.rglob("*") if p.is_file() and not p.is_symlink()) < MAX_INSTALLED
    assert int(run("rpm", "-qp", "--nosignature", "--qf", "%{SIZE}", package.rpm).stdout) < MAX_INSTALLED


def test_payloads_are_read_by_old_systems(package):
    assert "data.tar.xz" in run("ar", "t", package.deb).stdout.split()
    assert run("rpm", "-qp", "--nosignature", "--qf", "%{PAYLOADCOMPRESSOR}", package.rpm).stdout == "xz"
    requires = run("rpm", "-qp", "--nosignature", "--requires", package.rpm).stdout
    assert "(" not in re.sub(r"^(rpmlib|lib|rtld|ld-|config)\S*\(.*$", "", requires, flags=re.MULTILINE), "no rich dependency"
    versions = re.findall(r"GLIBC_([0-9.]+)", requires)
    assert versions and max(tuple(map(int, v.split("."))) for v in versions) <= (2, 17)


def test_packing_twice_gives_the_same_bytes(package, tmp_path):
    made = []
    for name, mask, zone in (("a", "0022", "UTC"), ("b", "0077", "Pacific/Auckland")):
        home = tmp_path / f"home-{name}"
        home.mkdir()
        (home / ".rpmmacros").write_text("%packager someone\n%_buildhost somewhere\n")
        environment = {"TZ": zone, "HOME": str(home), "MOORING_CACHE": str(artifacts.CACHE), "SOURCE_DATE_EPOCH": "1790000000"}
        made.append(artifacts.build(tmp_path / name, "--arch", package.arch, mask=mask, env={**os.environ, **environment}))
    assert [p.name for p in made[0]] == [package.deb.name, package.rpm.name]
    for one, other in zip(*made):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_bill_of_materials_lists_what_is_inside(package):
    bill = json.loads((package.root / "usr/share/doc/mooring/sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", bill["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bill["metadata"]["timestamp"])
    assert bill["metadata"]["component"]["name"] == "mooring" and bill["metadata"]["component"]["version"] == package.version
    references = [each["bom-ref"] for each in [bill["metadata"]["component"], *bill["components"]]]
    assert len(set(references)) == len(references)
    assert {each["ref"] for each in bill["dependencies"]} == set(references)
    assert all(each["type"] == "library" and each["purl"].startswith("pkg:") for each in bill["components"])
    said = [line.split() for line in package.start("/usr/bin/mooring", "version", "--deps").stdout.splitlines()[1:]]
    assert all(words[1:3] == ["linked", "in"] for words in said)
    assert {(words[0], words[-1]) for words in said} == {(each["name"], each["version"]) for each in bill["components"]}
    assert ("openssl", "3.5") in {(words[0], words[-1][:3]) for words in said}


def test_licences_of_what_is_linked_in_are_passed_on(package):
    doc = package.root / "usr/share/doc/mooring"
    sections = re.split(r"^======== (\S+) \S+$", gzip.decompress((doc / "libraries-licences.gz").read_bytes()).decode(), flags=re.MULTILINE)
    assert set(sections[1::2]) == {each["name"] for each in json.loads((doc / "sbom.cdx.json").read_text())["components"]}
    assert all(re.search(r"copyright", text, re.IGNORECASE) and len(text) > 500 for text in sections[2::2])


def test_lintian_and_rpmlint_have_no_error(package):
    need("lintian", "rpmlint")
    found = run("lintian", "--allow-root", "--fail-on", "error", "--profile", "debian", package.deb, check=False)
    assert found.returncode == 0, found.stdout
    found = run("rpmlint", "-c", ROOT / "packaging/rpmlint.toml", package.rpm, check=False)
    assert re.search(r" 0 errors", found.stdout), found.stdout


def test_every_override_has_its_reason():
    """A comment above it says why."""
    for name in ("packaging/lintian-overrides", "packaging/rpmlint.toml"):
        lines = (ROOT / name).read_text().splitlines()
        for above, line in zip(["", *lines], lines):
            if line.startswith(("mooring", "    '")):
                assert "#" in above or above.startswith(("mooring", "    '")), f"{name}: {line}"
