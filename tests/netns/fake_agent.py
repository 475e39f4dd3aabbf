#!/usr/bin/python3
"""Stands for mooringd in the tests of capture: takes its listeners from mooring-net, asks for capture, answers pings and
tells every client who it was meant for, then echoes. Says what happens on standard output, a line each.

    fake_agent.py SOCKET CONFIG-IN-HEX     SIGUSR1: an orderly end of capture
"""
import binascii
import os
import signal
import socket
import struct
import sys
import threading
import time

import capture_protocol as protocol

SO_ORIGINAL_DST = 80


def say(*words):
    print(*words, flush=True)


def meant_for(connection, is_inbound):
    if is_inbound and connection.getsockname()[1] != 15006:  # by TPROXY; else redirected
        return connection.getsockname()[:2]
    if connection.family == socket.AF_INET6:
        raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]
    raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    return socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0]


def serve(connection, is_inbound):
    with connection:
        try:
            address, port = meant_for(connection, is_inbound)
            connection.sendall(f"agent {'in' if is_inbound else 'out'} {address} {port}\n".encode())
            while part := connection.recv(65536):
                connection.sendall(part)
        except OSError:
            pass


def accept(listener, is_inbound):
    while True:
        connection, _ = listener.accept()
        connection.setblocking(True)
        threading.Thread(target=serve, args=(connection, is_inbound), daemon=True).start()


class Agent:
    def __init__(self, path, config):
        self.path, self.config = path, config
        self.owner = -1
        self.has_listeners = False
        self.wants_drop = False

    def on_notice(self, kind, body, descriptors):
        if kind == protocol.PING:
            self.connection.send(protocol.PONG, body)
        elif kind == protocol.OWNER:
            old, self.owner = self.owner, descriptors[0]
            if old >= 0:
                os.close(old)
            say("owner", body[2:].decode())

    def live(self):
        self.connection = protocol.Connection(self.path, protocol.AGENT)
        self.connection.on_notice = self.on_notice
        if not self.has_listeners:
            for is_inbound, _, _, listener in self.connection.listeners():
                listener.setblocking(True)
                threading.Thread(target=accept, args=(listener, is_inbound), daemon=True).start()
            self.has_listeners = True
        if self.config:
            try:
                self.connection.ask(protocol.ACTIVATE, self.config)
                say("active")
            except protocol.Refused as refusal:
                say("refused", refusal)
        else:
            say("waiting")
        self.connection.socket.settimeout(0.05)
        while True:
            if self.wants_drop:
                self.wants_drop = False
                self.connection.socket.settimeout(5)
                self.connection.ask(protocol.DROP)
                self.connection.socket.settimeout(0.05)
                say("dropped")
            try:
                kind, _, body, descriptors = self.connection.receive()
            except (socket.timeout, BlockingIOError):
                continue
            self.on_notice(kind, body, descriptors)


def main():
    agent = Agent(sys.argv[1], binascii.unhexlify(sys.argv[2]))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(agent, "wants_drop", True))
    while True:
        try:
            agent.live()
        except OSError as error:
            say("lost", error)
            time.sleep(0.1)


main()
