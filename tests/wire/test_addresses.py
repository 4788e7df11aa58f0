"""Which addresses count as one."""

import pytest

from wire.addresses import counted_address

ADDRESSES = {
    "IPv4": ("192.0.2.7", "192.0.2.7"),
    "IPv6": ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    "its last bits": ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
    "written in full": ("2001:0DB8:0001:0002:0000:0000:0000:0001", "2001:db8:1:2::/64"),
    "the next network": ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
    "a network that ends in zeros": ("2001:db8::1:2:3:4", "2001:db8::/64"),
    "with a zone": ("fe80::1%eth0", "fe80::/64"),
    "4291 2.5.5.2 IPv4 in IPv6": ("::ffff:192.0.2.7", "192.0.2.7"),
    "4291 2.5.5.2 in hexadecimal digits": ("::FFFF:c000:207", "192.0.2.7"),
    "6052 2.1 IPv4 behind a translator": ("64:ff9b::192.0.2.7", "192.0.2.7"),
    "this machine": ("::1", "::1"),
    "IPv4 with a port": ("192.0.2.7:4711", "192.0.2.7"),
    "IPv6 with a port": ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
    "IPv6 in brackets": ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
    "no address": ("unknown", "unknown"),
    "nothing": ("", ""),
    "no address in brackets": ("[]:1", "[]:1"),
    "digits of another script": ("١.2.3.4", "١.2.3.4"),
}


@pytest.mark.parametrize(("text", "want"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_an_address_is_counted_by(text, want):
    assert counted_address(text) == want
