"""Two network namespaces joined by a slow link, for kernels without netem. A process carries packets between two tun
devices and delays them. Needs root.

A packet leaves when the packets before it have left, at the given bandwidth, and arrives `delay` later. The queue holds
twice the bandwidth-delay product, at least 1 MB; further packets are dropped, as a router does.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

MTU = 9000
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000


def open_tun(namespace):
    with open(f"/run/netns/{namespace}") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", b"slow", IFF_TUN | IFF_NO_PI))
    return fd


class Direction:
    """One direction of the link: a queue of packets with the times at which they arrive."""

    def __init__(self, source, target, bytes_per_s, delay_s):
        self.source, self.target, self.rate, self.delay = source, target, bytes_per_s, delay_s
        self.limit = max(1 << 20, int(2 * bytes_per_s * 2 * delay_s))
        self.packets, self.free = collections.deque(), 0.0

    def read_packets(self, now):
        for _ in range(64):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            begin = max(now, self.free)
            if (begin - now) * self.rate < self.limit:
                self.free = begin + len(packet) / self.rate
                self.packets.append((self.free + self.delay, packet))

    def write_arrived(self, now):
        while self.packets and self.packets[0][0] <= now:
            try:
                os.write(self.target, self.packets.popleft()[1])
            except OSError:
                pass  # the packet is dropped

    def next_arrival(self):
        return self.packets[0][0] if self.packets else float("inf")


def carry(one, other, bytes_per_s, delay_s):
    fds = open_tun(one), open_tun(other)
    directions = Direction(*fds, bytes_per_s, delay_s), Direction(*fds[::-1], bytes_per_s, delay_s)
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        for direction in directions:
            direction.read_packets(now)
            direction.write_arrived(now)
        wait = min(direction.next_arrival() for direction in directions) - time.monotonic()
        select.select(fds, [], [], max(0, min(wait, 1)))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Link:
    """`with Link(mbit, ms) as link`: a command with the prefix `link.server` runs at one end of the link, and
    run_client() at the other end."""

    server_address, client_address = "10.247.0.1", "10.247.0.2"

    def __init__(self, mbit_per_s, delay_ms):
        self.names = [f"alchemist-{side}-{os.getpid()}" for side in ("server", "client")]
        self.numbers = str(mbit_per_s * 1e6 / 8), str(delay_ms / 1e3)
        self.server = ["ip", "netns", "exec", self.names[0]]
        self.carrier, self.made = None, []

    def __enter__(self):
        try:
            for name in self.names:
                ip("netns", "add", name)
                self.made.append(name)
            self.carrier = subprocess.Popen([sys.executable, __file__, *self.names, *self.numbers], stdout=subprocess.PIPE)
            if self.carrier.stdout.readline() != b"ready\n":
                raise OSError("the tun devices of the link cannot be opened")
            for name, address in zip(self.names, (self.server_address, self.client_address)):
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "addr", "add", f"{address}/30", "dev", "slow")
                ip("-n", name, "link", "set", "slow", "mtu", str(MTU), "txqueuelen", "10000", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.carrier:
            self.carrier.kill()
            self.carrier.wait()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def run_client(self, command, connection_file):
        import json
        with open(connection_file) as file:
            port = json.load(file)["port"]
        subprocess.run(["ip", "netns", "exec", self.names[1], *command], check=True,
                       env={**os.environ, "BENCH_INSIDE": connection_file, "BENCH_ADDRESS": f"{self.server_address}:{port}"})


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
