"""Starts a command as systemd does with sockets: activate.py ADDRESS:PORT... -- COMMAND [ARGUMENT...]"""

import fcntl
import os
import socket
import sys

FIRST = 3  # sd_listen_fds(3)

addresses, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
held = []
for address in addresses:
    host, _, port = address.rpartition(":")
    held.append(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held[-1].bind((host, int(port)))
    held[-1].listen()
high = [fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in held]  # out of the way
for fd, copy in enumerate(high, FIRST):
    os.dup2(copy, fd, inheritable=True)
    os.close(copy)
for fd in range(FIRST + len(high), 100):
    try:
        os.close(fd)
    except OSError:
        pass
os.environ |= {"LISTEN_FDS": str(len(high)), "LISTEN_PID": os.environ.get("PRETEND_PID") or str(os.getpid())}
os.execvp(command[0], command)
