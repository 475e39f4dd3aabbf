"""The test control plane of tests/control-plane for a test program: test_plane.py FOLDER [PORT]. Prints its port, then, when it
serves, "serving". FOLDER gets ca.pem and token (mesh default, workload web); control.sock there takes its commands. With a port:
the same once more, with what FOLDER has. A server process of ServerProcess."""
import json
import os
import pathlib
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[1] / "control-plane"
sys.path.insert(0, str(HERE))

folder = pathlib.Path(sys.argv[1])
# Nothing of it is imported here: it is for the server's own process.
libraries = subprocess.run([HERE.parents[1] / "packaging/dependencies.sh", "--control-plane-path"], capture_output=True, text=True).stdout.strip()
if not os.path.isdir(libraries):
    sys.exit("0: the control-plane group of packaging/dependencies.sh is not there")
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
if not port:
    from identities import Ca, Tokens

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ca, tokens = Ca(), Tokens()
    certificate, key = ca.server(["127.0.0.1"])
    for name, text in {"server.pem": certificate, "server.key": key, "ca.pem": ca.pem, "token": tokens.make(workload="web"),
                       "other-token": tokens.make(workload="db")}.items():
        (folder / name).write_text(text)
    (folder / "config.json").write_text(json.dumps({"addresses": ["127.0.0.1"], "port": port, "certificate": certificate, "meshes": ["default"],
                                                    "public_key": tokens.public_key}))
    for name in ("token", "other-token"):
        os.chmod(folder / name, 0o600)
print(port, flush=True)
program = [sys.executable, str(HERE / "server.py"), str(folder / "config.json")]
os.execve(sys.executable, program, {**os.environ, "PYTHONPATH": libraries, "PYTHONDONTWRITEBYTECODE": "1"})
