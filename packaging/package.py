#!/usr/bin/python3
"""Makes a .deb and a .rpm out of packaging/contents. packaging/build.sh calls it; docs/packaging.md says why so.

dpkg-deb and rpmbuild do the packing. Nothing here depends on the machine: times come from SOURCE_DATE_EPOCH, owners,
modes and order from the list, so that packaging the same programs twice gives the same bytes.
"""
import argparse
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent
SCRIPTS = HERE / "scripts"
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"]) if "SOURCE_DATE_EPOCH" in os.environ else None
RPM_ARCH = {"amd64": "x86_64", "arm64": "aarch64"}
DEB_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")


class Wrong(Exception):
    """Something in the list, the sources or the tools that a person has to put right."""


@dataclass
class Entry:
    kind: str
    path: str
    mode: str
    owner: str
    group: str
    source: str
    flags: set = field(default_factory=set)

    def is_in(self, form):
        return not self.flags & {"deb", "rpm"} or form in self.flags


def parse_row(number, line):
    columns = line.split()
    where = f"packaging/contents:{number}"
    if len(columns) not in (5, 6):
        raise Wrong(f"{where}: 5 or 6 columns are wanted, not {len(columns)}")
    kind, path, mode, owner, source = columns[:5]
    flags = set(columns[5].split(",")) if len(columns) == 6 else set()
    if kind not in ("file", "dir", "link") or not path.startswith("/") or flags - {"conf", "gz", "deb", "rpm"}:
        raise Wrong(f"{where}: unknown kind, path or flag")
    if kind == "link":
        mode, owner = "0777", "root:root"
    if not re.fullmatch(r"0[0-7]{3}", mode) or owner.count(":") != 1:
        raise Wrong(f"{where}: mode is four octal digits, owner is user:group")
    return Entry(kind, path, mode, *owner.split(":"), source, flags)


def expand(entry):
    """A row with "*" stands for the files that are there; none is a mistake of the list or of the build."""
    if "*" not in entry.source:
        return [entry]
    found = sorted(p for p in SOURCE.glob(entry.source) if p.is_file())
    if not found or not entry.path.endswith("/"):
        raise Wrong(f"packaging/contents: {entry.source} matches nothing, or {entry.path} does not end in '/'")
    end = ".gz" if "gz" in entry.flags else ""
    return [Entry(entry.kind, entry.path + p.name + end, entry.mode, entry.owner, entry.group,
                  str(p.relative_to(SOURCE)), entry.flags) for p in found]


def read_contents(form):
    entries = []
    for number, line in enumerate((HERE / "contents").read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            entries += [e for e in expand(parse_row(number, line)) if e.is_in(form)]
    paths = [e.path for e in entries]
    twice = {p for p in paths if paths.count(p) > 1}
    if twice:
        raise Wrong(f"packaging/contents: listed twice: {', '.join(sorted(twice))}")
    return sorted(entries + folders_between(entries), key=lambda e: e.path)


def folders_between(entries):
    """Unlisted folders below a listed one: rpm leaves behind what nobody owns."""
    listed = {e.path for e in entries}
    parents = {str(p) for e in entries for p in pathlib.PurePath(e.path).parents}
    return [Entry("dir", p, "0755", "root", "root", "-") for p in sorted(parents - listed)
            if any(str(above) in listed for above in pathlib.PurePath(p).parents)]


def locate(entry, options):
    for prefix, folder in (("bin/", options.bin), ("gen/", options.gen)):
        if entry.source.startswith(prefix):
            return folder / entry.source.removeprefix(prefix)
    return SOURCE / entry.source


def stage(entries, root, options):
    """Puts every file below root, with its mode. Owners are the packer's business."""
    for entry in entries:
        target = root / entry.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "dir":
            target.mkdir(exist_ok=True)
        elif entry.kind == "link":
            target.symlink_to(entry.source)
            continue
        else:
            source = locate(entry, options)
            if not source.is_file():
                raise Wrong(f"packaging/contents: {entry.source} for {entry.path} is not there")
            data = source.read_bytes()
            target.write_bytes(gzip.compress(data, 9, mtime=0) if "gz" in entry.flags else data)
        target.chmod(int(entry.mode, 8))
    for folder, _, names in os.walk(root, topdown=False):
        for name in [*names, "."]:
            os.utime(os.path.join(folder, name), (EPOCH, EPOCH), follow_symlinks=False)


def owners_script(entries):
    lines = ["own_installed_files() {"]
    for e in entries:
        if (e.owner, e.group) != ("root", "root"):
            lines += [f"  dpkg-statoverride --list {e.path} >/dev/null 2>&1 || {{",
                      f"    chown {e.owner}:{e.group} {e.path} && chmod {e.mode} {e.path}",
                      "  }"]
    return "\n".join([*lines, "}"])


def read_script(path, entries):
    """A maintainer script; "# @include NAME" is replaced by packaging/scripts/NAME, "owners" by a generated function."""
    def replace(match):
        name = match.group(1)
        text = owners_script(entries) if name == "owners" else (SCRIPTS / name).read_text().rstrip("\n")
        return re.sub(r"\A#!.*\n", "", text)
    return re.sub(r"^# @include (\S+)$", replace, path.read_text(), flags=re.M)


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **more)
    if done.returncode:
        raise Wrong(f"{command[0]} failed:\n{done.stdout}")
    return done.stdout


# ---- deb

def installed_kib(root):
    return sum((p.lstat().st_size + 1023) // 1024 if p.is_file() and not p.is_symlink() else 1 for p in root.rglob("*"))


def control(about, options, size):
    long = "".join(f" {line}\n" for line in about["description"].strip().splitlines())
    depends = ", ".join([*options.depends, *about["deb"]["depends"]])
    return (f"Package: {about['name']}\nVersion: {options.version}\nArchitecture: {options.arch}\n"
            f"Maintainer: {about['maintainer']}\nInstalled-Size: {size}\nDepends: {depends}\n"
            f"Recommends: {about['deb']['recommends']}\nSection: {about['deb']['section']}\n"
            f"Priority: {about['deb']['priority']}\nHomepage: {about['homepage']}\n"
            f"Description: {about['summary']}\n{long}")


def write(path, text, mode=0o644):
    path.write_text(text)
    path.chmod(mode)


def make_deb(about, options, work):
    entries = read_contents("deb")
    root = work / "deb"
    stage(entries, root, options)
    size = installed_kib(root)
    sums = [f"{hashlib.md5((root / e.path[1:]).read_bytes()).hexdigest()}  {e.path[1:]}\n"
            for e in entries if e.kind == "file"]
    meta = root / "DEBIAN"
    meta.mkdir()
    write(meta / "control", control(about, options, size))
    write(meta / "md5sums", "".join(sums))
    conffiles = [e.path + "\n" for e in entries if "conf" in e.flags]
    if conffiles:
        write(meta / "conffiles", "".join(conffiles))
    for name in DEB_SCRIPTS:
        if (SCRIPTS / "deb" / name).exists():
            write(meta / name, read_script(SCRIPTS / "deb" / name, entries), 0o755)
    if (SCRIPTS / "deb" / "triggers").exists():
        write(meta / "triggers", (SCRIPTS / "deb" / "triggers").read_text())
    result = options.output / f"{about['name']}_{options.version}_{options.arch}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, result)
    return result


# ---- rpm

def rpm_files(entries):
    lines = []
    for e in entries:
        if e.kind == "link":
            lines.append(e.path)
            continue
        marks = [f"%attr({e.mode},{e.owner},{e.group})"]
        marks += ["%dir"] if e.kind == "dir" else []
        marks += ["%config(noreplace)"] if "conf" in e.flags else []
        marks += ["%doc"] if e.path.startswith("/usr/share/doc/") and e.kind == "file" else []
        lines.append(" ".join([*marks, e.path]))
    return "\n".join(lines)


def rpm_scripts(entries):
    """packaging/scripts/rpm/NAME is the section %NAME; triggerin@PACKAGE is %triggerin -- PACKAGE."""
    sections = []
    for path in sorted((SCRIPTS / "rpm").glob("*")) if (SCRIPTS / "rpm").is_dir() else []:
        name, _, package = path.name.partition("@")
        if name not in ("pretrans", "pre", "post", "preun", "postun", "posttrans", "triggerin", "triggerun",
                        "triggerpostun") or bool(package) != name.startswith("trigger"):
            raise Wrong(f"packaging/scripts/rpm/{path.name}: no scriptlet of this name")
        body = re.sub(r"\A#!.*\n", "", read_script(path, entries)).replace("%", "%%")
        sections.append(f"%{name}" + (f" -- {package}" if package else "") + f"\n{body}\n")
    return "\n".join(sections)


def rpm_changelog():
    """The newest entry of packaging/changelog in rpm's form."""
    text = (HERE / "changelog").read_text()
    entry = re.match(r"\S+ \((?P<version>\S+)\).*?\n(?P<lines>.*?)\n -- (?P<who>.*?)  "
                     r"(?P<day>\w+), (?P<d>\d+) (?P<m>\w+) (?P<y>\d+)", text, re.S)
    if not entry:
        raise Wrong("packaging/changelog: the first entry is not in Debian's form")
    lines = re.sub(r"^ +\* ", "- ", entry["lines"].strip("\n"), flags=re.M)
    return f"* {entry['day']} {entry['m']} {entry['d']} {entry['y']} {entry['who']} - {entry['version']}-1\n{lines}\n"


def spec(about, options, entries, staged):
    rpm = about["rpm"]
    fields = [("Name", about["name"]), ("Version", options.version), ("Release", "1"), ("Summary", about["summary"]),
              ("License", about["license"]), ("URL", about["homepage"]), ("Group", rpm["group"]),
              ("Packager", about["maintainer"]), ("Vendor", "Mooring")]
    fields += [("Requires", r) for r in rpm["requires"]] + [("Requires(pre)", r) for r in rpm["requires_pre"]]
    fields += [("Recommends", r) for r in rpm["recommends"]]
    macros = ["%global debug_package %{nil}", "%global __os_install_post %{nil}", "%global _build_id_links none",
              "%global _binary_payload w6.xzdio", "%global _buildhost build.invalid",
              "%global use_source_date_epoch_as_buildtime 1", "%global clamp_mtime_to_source_date_epoch 1",
              "%global source_date_epoch_from_changelog 0", "%global optflags %{nil}"]
    return "\n".join([
        *macros, *(f"{k}: {v}" for k, v in fields),
        "%description", re.sub(r"^\.$", "", about["description"].strip(), flags=re.M),
        "%install", f"cp -a '{staged}/.' '%{{buildroot}}/'",
        rpm_scripts(entries), "%files", rpm_files(entries), "%changelog", rpm_changelog()])


def make_rpm(about, options, work):
    entries = read_contents("rpm")
    staged = work / "rpm"
    stage(entries, staged, options)
    top = work / "rpmbuild"
    top.mkdir()
    write(top / "mooring.spec", spec(about, options, entries, staged))
    arch = RPM_ARCH[options.arch]
    # A home and configuration of its own: what a developer has in ~/.rpmmacros is not ours.
    run("rpmbuild", "-bb", "--target", f"{arch}-unknown-linux", "--define", f"_topdir {top}", "--nodeps",
        "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", top / "mooring.spec",
        env={**os.environ, "HOME": str(top), "LC_ALL": "C"})
    made = top / "RPMS" / f"{about['name']}-{options.version}-1.{arch}.rpm"
    return pathlib.Path(shutil.copy(made, options.output))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the stripped programs")
    parser.add_argument("--gen", type=pathlib.Path, required=True, help="folder of the generated files")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="an empty folder")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--arch", choices=sorted(RPM_ARCH), required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--depends", action="append", default=[], help="a dependency of the programs (deb)")
    parser.add_argument("--format", action="append", choices=["deb", "rpm"], dest="formats")
    options = parser.parse_args()
    if EPOCH is None:
        raise Wrong("SOURCE_DATE_EPOCH is not set")
    if not re.fullmatch(r"[0-9][0-9A-Za-z.+~]*", options.version):
        raise Wrong(f"'{options.version}' is no version of a package")
    os.umask(0o022)
    about = tomllib.loads((HERE / "package.toml").read_text())
    for form in options.formats or ["deb", "rpm"]:
        print({"deb": make_deb, "rpm": make_rpm}[form](about, options, options.work))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"package.py: {wrong}")
