"""What a host is like, as seen from outside Mooring: taken before and after, the difference is what Mooring left behind."""
import difflib
import re

# Written by the system itself, by dpkg about its own work, or at each boot.
NOT_LOOKED_AT = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log/journal", "/var/log/dpkg.log", "/var/lib/dpkg", "/var/cache",
                 "/var/log/wtmp", "/var/log/lastlog", "/var/lib/systemd", "/etc/machine-id", "/var/log/faillog", "/var/log/btmp")
# shadow's own copies of the files before.
BACKUPS = r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-|/etc/\.pwd\.lock"


def files(host):
    """Everything on the disk: kind, mode, owner by number, and of /etc the contents."""
    prune = " -o ".join(f"-path {path}" for path in NOT_LOOKED_AT)
    listing = host.exec("sh", "-c", rf"find / -xdev \( {prune} \) -prune -o -printf '%y %m %U:%G %p %l\n'").stdout.splitlines()
    sums = host.exec("sh", "-c", "find /etc -type f -exec sha256sum {} +").stdout.splitlines()
    return sorted(line for line in listing + sums if not re.search(BACKUPS, line) and "/etc/machine-id" not in line)


def by_name(host):
    """Whatever has the name, also where the host's own files are not looked at."""
    found = host.exec("sh", "-c", "find / -xdev -iname '*mooring*' -not -path '/proc/*' -not -path '/var/log/journal/*'").stdout.splitlines()
    found += host.exec("find", "/run", "-iname", "*mooring*").stdout.splitlines()
    return sorted(found)


def rules(host):
    """Every rule of every kind, without counters."""
    commands = ["nft -s list ruleset", "iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save",
                "ip -4 rule", "ip -6 rule", "ip -4 route show table all", "ip -6 route show table all"]
    lines = []
    for command in commands:
        text = re.sub(r"\[\d+:\d+\]", "", host.exec(*command.split(), check=False).stdout)
        lines += [f"{command}: {line}" for line in text.splitlines() if not line.startswith("#")]
    # The kernel adds an interface's link-local routes when it has tried the address for a second.
    return [line for line in lines if not re.search("fe80::|ff00::", line)]


def units(host):
    files_ = host.systemctl("list-unit-files", "--no-pager", "--no-legend", "--plain").stdout
    failed = host.systemctl("--failed", "--no-pager", "--no-legend", "--plain").stdout
    return files_.splitlines() + [f"failed: {line}" for line in failed.splitlines()]


def sysctls(host):
    text = host.exec("sysctl", "-a", "--pattern", r"^net\.|^kernel\.core|^fs\.file-max", check=False).stdout
    return [line for line in text.splitlines() if not re.search(r"nf_conntrack_count|random|dirty|neigh.*gc|stat_refresh", line)]


def resolver(host):
    return host.exec("sh", "-c", "cat /etc/resolv.conf /etc/nsswitch.conf").stdout.splitlines()


def users(host):
    return host.exec("getent", "passwd").stdout.splitlines() + host.exec("getent", "group").stdout.splitlines()


def sockets(host):
    return sorted(host.exec("sh", "-c", "ss -Hltn | awk '{print $4}'").stdout.splitlines())


PARTS = (files, by_name, rules, units, sysctls, resolver, users, sockets)


def take(host):
    return {part.__name__: part(host) for part in PARTS}


def difference(before, after):
    lines = []
    for name, old in before.items():
        lines += [f"{name}: {line}" for line in difflib.unified_diff(old, after[name], lineterm="", n=0)
                  if line[0] in "+-" and not line.startswith(("+++", "---"))]
    return lines
