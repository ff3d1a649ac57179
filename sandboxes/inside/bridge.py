"""Brings the fork server in a container to its socket: a container inherits no descriptor of the host's.

Runs as ``python -s -P -S bridge.py SOCKET CONFIG`` and becomes the fork server, with the connection as its
control socket. Descriptors pass through it as through an inherited one, as long as both sides share a kernel.
Standard library only.
"""

from __future__ import annotations

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import zygote


def main() -> None:
    """Connect, and serve."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(sys.argv[1])
    sys.argv[1] = str(control.detach())
    zygote.main()


if __name__ == "__main__":
    main()
