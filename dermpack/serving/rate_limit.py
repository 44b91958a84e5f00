"""A sliding window: how often an address may do something in a period."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import ip_address, ip_network

MAX_ADDRESSES = 10_000  # that are kept; the least recently used one is removed first
IPV6_PREFIX = 64  # a home has at least that many addresses, so they count as one


class SlidingWindow:
    """Allows `most` events of an address within `seconds`; for one event loop, or one thread."""

    def __init__(self, most: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.seconds, self._clock = most, seconds, clock
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> float:
        """Count one event and return 0, or return the seconds until the address may try again."""
        now = self._clock()
        events = self._events.setdefault(address, deque())
        self._events.move_to_end(address)
        if len(self._events) > MAX_ADDRESSES:
            self._events.popitem(last=False)
        while events and events[0] <= now - self.seconds:
            events.popleft()
        # A refused attempt does not count: a client that waits as long as the response states is accepted.
        if len(events) >= self.most:
            return events[0] + self.seconds - now
        events.append(now)
        return 0.0


def group_address(address: str) -> str:
    """Return the address, or the network of an IPv6 address: 2001:db8::7 → 2001:db8::/64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{address}/{IPV6_PREFIX}", strict=False)) if parsed.version == 6 else address
