"""Programs that talk to somebody: over networks, sockets of the machine, and what is left open."""

from cases import Hostile

NETWORK = [
    Hostile(
        "connects-by-tcp",
        """
import socket
judge(lambda: socket.create_connection(("127.0.0.1", WORLD["tcp_port"]), 1).close())
""",
    ),
    Hostile(
        "connects-to-the-internet",
        """
import socket
def to(address):
    return lambda: socket.create_connection(address, 1).close()
judge(*map(to, [("1.1.1.1", 53), ("8.8.8.8", 443), ("169.254.169.254", 80)]))
""",
    ),
    Hostile(
        "sends-by-udp",
        """
import socket
def by_loopback():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", WORLD["udp_port"]))
def by_six():
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("::ffff:127.0.0.1", WORLD["udp_port"]))
judge(by_loopback, by_six)
""",
    ),
    Hostile(
        "asks-the-name-server",
        """
import socket
judge(lambda: socket.getaddrinfo("example.com", 80))
""",
    ),
    Hostile(
        "listens",
        """
import socket
def listening(family, address):
    def attempt():
        server = socket.socket(family)
        server.bind(address)
        server.listen()
    return attempt
addresses = {socket.AF_INET: ("0.0.0.0", 0), socket.AF_INET6: ("::", 0), socket.AF_UNIX: "\\0x"}
judge(*[listening(family, address) for family, address in addresses.items()])
""",
    ),
    Hostile(
        "connects-to-a-named-socket",
        """
import socket
def to(path):
    return lambda: socket.socket(socket.AF_UNIX).connect(path)
known = ["/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/systemd/private"]
judge(*map(to, [WORLD["unix_path"], *known]))
""",
    ),
    Hostile(
        "connects-to-an-abstract-socket",
        """
import socket
judge(lambda: socket.socket(socket.AF_UNIX).connect("\\0" + WORLD["abstract"]))
""",
    ),
    Hostile(
        "sends-from-a-socket-pair",
        """
import socket
def sending(kind, address):
    def attempt():
        # A pair can be made where sockets cannot; a datagram socket of it may still send to anybody.
        socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b"x", address)
    return attempt
kinds = [socket.SOCK_DGRAM, socket.SOCK_RAW]
addresses = [WORLD["datagram_path"], "\\0" + WORLD["datagram_abstract"]]
judge(*[sending(kind, address) for kind in kinds for address in addresses])
""",
    ),
    Hostile(
        "opens-raw-sockets",
        """
import socket
judge(
    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768),
)
""",
    ),
    Hostile(
        "talks-to-the-kernel-by-netlink",
        """
import socket
def opening(number):
    return lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, number)
judge(*map(opening, (0, 9, 12, 15, 16)))
""",
    ),
    Hostile(
        "talks-to-the-host-by-vsock",
        """
import socket
def connecting(kind):
    def attempt():
        vsock = socket.socket(socket.AF_VSOCK, kind)
        vsock.settimeout(1)
        vsock.connect((2, 1024))
    return attempt
judge(connecting(socket.SOCK_STREAM), lambda: open("/dev/vsock", "rb"))
""",
    ),
    Hostile(
        "opens-rare-sockets",
        """
import socket
families = [family for family in range(3, 46) if family not in (socket.AF_INET6, 16, 17)]
def opening(family, kind):
    return lambda: socket.socket(family, kind)
judge(*[opening(family, kind) for family in families for kind in (1, 2, 3, 5)])
""",
    ),
]
