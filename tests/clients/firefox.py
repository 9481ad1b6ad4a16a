"""Firefox without a display, asked by Marionette, the protocol that it has for this: prints the text of a page."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

profile = tempfile.mkdtemp(dir=".")
with open(os.path.join(profile, "user.js"), "w") as prefs:
    prefs.write('user_pref("marionette.port", 0);\n')
firefox = subprocess.Popen([sys.argv[1], "--headless", "--no-remote", "--marionette", "--profile", profile],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def connect():
    for _ in range(600):
        try:
            with open(os.path.join(profile, "MarionetteActivePort")) as file:
                return socket.create_connection(("127.0.0.1", int(file.read())))
        except (OSError, ValueError):
            time.sleep(0.1)
    sys.exit("Firefox does not answer")


def read(stream):
    length = b""
    while not length.endswith(b":"):
        byte = stream.read(1)
        if not byte:
            sys.exit("Firefox has ended")
        length += byte
    return json.loads(stream.read(int(length[:-1])))


def call(number, name, **parameters):
    message = json.dumps([0, number, name, parameters])
    sock.sendall(b"%d:%s" % (len(message), message.encode()))
    _, _, error, result = read(stream)
    if error:
        sys.exit("%s: %s" % (error["error"], error["message"]))
    return result


try:
    sock = connect()
    stream = sock.makefile("rb")
    read(stream)
    call(1, "WebDriver:NewSession", capabilities={})
    call(2, "WebDriver:Navigate", url=sys.argv[2])
    print(call(3, "WebDriver:ExecuteScript", script="return document.documentElement.textContent", args=[])["value"])
finally:
    firefox.kill()
    firefox.wait()
