"""packaging/repository.sh: what apt and rpm take from it, and that they take nothing else. The key lives as long as the test."""
import os
import shutil

import pytest

from artifacts import ARCHS, ROOT, native_arch, need, run


class Key:
    def __init__(self, folder):
        folder.mkdir(mode=0o700)
        self.environment = {**os.environ, "GNUPGHOME": str(folder)}
        run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "Mooring test <test@mooring.example>", "rsa2048", "sign", "never", env=self.environment)

    def close(self):
        run("gpgconf", "--kill", "all", env=self.environment)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    need("gpg", "apt-ftparchive", "createrepo_c", "rpmsign")
    one = Key(tmp_path_factory.mktemp("keys") / "one")
    yield one
    one.close()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Of this repository's list, with a stand-in for the programs: what is in them does not matter here."""
    need("dpkg-deb", "rpmbuild")
    folder = tmp_path_factory.mktemp("packages")
    programs, generated, work = folder / "bin", folder / "gen", folder / "work"
    for each in (programs, generated, work):
        each.mkdir()
    sources = [line.split()[4] for line in (ROOT / "packaging/contents").read_text().splitlines() if line.strip() and not line.startswith("#")]
    for source in sources:
        if source.startswith(("bin/", "gen/")):
            target = folder / source
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("#!/bin/sh\n")
            target.chmod(0o755)
    run(ROOT / "packaging/package.py", "--bin", programs, "--gen", generated, "--work", work, "--output", folder, "--arch", native_arch(),
        "--version", "0.1.0", env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"})
    return [*folder.glob("*.deb"), *folder.glob("*.rpm")]


@pytest.fixture
def repository(key, packages, tmp_path):
    publish(key, tmp_path / "repository", packages)
    return tmp_path / "repository"


def publish(key, folder, packages, **options):
    return run(ROOT / "packaging/repository.sh", "test@mooring.example", folder, *packages, env=key.environment, **options)


def apt(repository, folder, *command):
    """apt-get with nothing of this host but its program."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("status", "sources.list"):
        (folder / name).touch()
    (folder / "sources.list").write_text(f"deb [signed-by={repository}/mooring.gpg] file:{repository}/deb stable main\n")
    return run("apt-get", "-q", f"-oDir::Etc::SourceList={folder}/sources.list", "-oDir::Etc::SourceParts=/dev/null", f"-oDir::State::Lists={folder}/lists",
               f"-oDir::Cache={folder}/cache", f"-oDir::State::status={folder}/status", "-oAPT::Sandbox::User=root",
               f"-oAPT::Architecture={native_arch()}", *command, check=False, cwd=folder)


def takes(repository, folder):
    """Whether apt gets the package out of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    update = apt(repository, folder, "update", "-oAPT::Update::Error-Mode=any")
    done = apt(repository, folder, "download", "mooring")
    return update.returncode == 0 and done.returncode == 0 and bool(list(folder.glob("mooring_*.deb")))


def test_apt_takes_what_is_signed(repository, tmp_path):
    assert takes(repository, tmp_path / "apt")


def flip(path, at=-100):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["the package", "the index", "the signed list", "the key"])
def test_apt_refuses_what_was_changed(repository, key, tmp_path, what):
    release = repository / "deb/dists/stable"
    if what == "the package":
        flip(next(repository.glob("deb/pool/*.deb")))
    elif what == "the index":
        for index in release.glob("main/binary-*/Packages*"):
            flip(index)
    elif what == "the signed list":
        text = (release / "InRelease").read_text()
        (release / "InRelease").write_text(text.replace("Origin: Mooring", "Origin: Someone"))
        (release / "Release").unlink()
    else:
        other = Key(tmp_path / "other")
        (repository / "mooring.gpg").unlink()
        run("gpg", "--batch", "--output", repository / "mooring.gpg", "--export", env=other.environment)
        other.close()
    assert not takes(repository, tmp_path / "apt")


def test_rpm_takes_what_is_signed_and_nothing_else(repository, packages, tmp_path):
    (signed,) = repository.glob("rpm/*.rpm")
    (unsigned,) = [p for p in packages if p.suffix == ".rpm"]
    database = ["--dbpath", tmp_path / "rpmdb"]
    check = ["rpmkeys", *database, "--define", "_pkgverify_level all", "--checksig"]
    assert run(*check, signed, check=False).returncode != 0, "the key is not known yet"
    run("rpmkeys", *database, "--import", repository / "mooring.asc")
    assert "digests signatures OK" in run(*check, signed).stdout
    assert run(*check, unsigned, check=False).returncode != 0
    flip(signed)
    assert run(*check, signed, check=False).returncode != 0


def test_metadata_of_rpm_is_signed(repository, key):
    verify = ["gpg", "--batch", "--verify", repository / "rpm/repodata/repomd.xml.asc", repository / "rpm/repodata/repomd.xml"]
    run(*verify, env=key.environment)
    flip(repository / "rpm/repodata/repomd.xml")
    assert run(*verify, check=False, env=key.environment).returncode != 0


def test_a_version_is_published_once(repository, key, packages):
    again = publish(key, repository, packages, check=False)
    assert again.returncode == 1 and "is there already" in again.stdout


def test_another_architecture_is_added(repository, key, packages, tmp_path):
    (deb,) = [p for p in packages if p.suffix == ".deb"]
    other = next(arch for arch in ARCHS if arch != native_arch())
    run("dpkg-deb", "-R", deb, tmp_path / "deb")
    control = tmp_path / "deb/DEBIAN/control"
    control.write_text(control.read_text().replace(f"Architecture: {native_arch()}", f"Architecture: {other}"))
    run("dpkg-deb", "--root-owner-group", "-b", tmp_path / "deb", tmp_path / f"mooring_0.1.0_{other}.deb")
    publish(key, repository, [tmp_path / f"mooring_0.1.0_{other}.deb"])
    release = repository / "deb/dists/stable"
    for arch in ARCHS:
        assert f"Architecture: {arch}\n" in (release / f"main/binary-{arch}/Packages").read_text()
    assert "Architectures: amd64 arm64\n" in (release / "InRelease").read_text()
    assert takes(repository, tmp_path / "apt")
