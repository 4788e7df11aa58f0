"""Export specs: the address that a client knows, and the identity of the bytes."""

from __future__ import annotations

from exports import spec as spec_module
from tests.exports.specs import a_spec


def test_an_address_is_of_what_a_client_asks_for():
    one = a_spec()
    changed = one._replace(query=one.query._replace(sql="other"), rows_estimate=5, fingerprint=str)
    assert one.address() == changed.address()
    others = [
        one._replace(source="alias"), one._replace(extension="tsv"), one._replace(selection="a=1"),
    ]  # fmt: skip
    assert len({each.address() for each in (one, *others)}) == 4


def test_each_visibility_key_has_addresses_and_identities_of_its_own():
    specs = [a_spec(visibility_key=key) for key in ("", "{}", '{"a":"1"}')]
    assert len({each.address() for each in specs}) == len({each.identity() for each in specs}) == 3


def test_identity_is_of_what_decides_the_bytes(monkeypatch):
    one = a_spec()
    assert one.identity() == a_spec()._replace(rows_estimate=5, fingerprint=str).identity()
    others = [
        one._replace(source="alias"), one._replace(extension="tsv"),
        one._replace(selection="excel=1", excel=True),
        one._replace(query=one.query._replace(sql="other")),
        one._replace(query=one.query._replace(database="file:y.db")),
        one._replace(query=one.query._replace(parameters={"a": 1})),
    ]  # fmt: skip
    assert len({each.identity() for each in (one, *others)}) == 7
    two = one._replace(query=one.query._replace(parameters={"a": 1, "b": 2}))
    turned = one._replace(query=one.query._replace(parameters={"b": 2, "a": 1}))
    assert two.identity() == turned.identity()
    before = one.identity()
    monkeypatch.setattr(spec_module, "RECORDING_VERSION", 0)
    assert one.identity() != before
