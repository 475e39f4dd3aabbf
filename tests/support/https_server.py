"""An HTTPS server for the tests of the HTTP client: https_server.py FOLDER (with cert.pem and key.pem). The path says what it does."""
import http.server
import json
import ssl
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("content-length", 0))).decode())

    def do_GET(self):
        self.answer("")

    def answer(self, body):
        path = self.path.lstrip("/")
        if path == "hang":
            time.sleep(60)
        if path == "close":
            self.close_connection = True
            return
        status = int(path) if path.isdigit() else 200
        text = json.dumps({"method": self.command, "headers": {key.lower(): value for key, value in self.headers.items()}, "body": body})
        if path == "large":
            text = "x" * 100_000
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text) + (10 if path == "cut" else 0)))
        if status == 302:
            self.send_header("location", "/echo")
        for number in range(2000 if path == "heads" else 0):
            self.send_header(f"x-{number}", "y" * 60)
        self.end_headers()
        self.wfile.write(text.encode())
        if path == "cut":
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # clients that do not like the certificate, or what they hear


server = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{sys.argv[1]}/cert.pem", f"{sys.argv[1]}/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
