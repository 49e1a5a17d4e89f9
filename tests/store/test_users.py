"""How passwords are kept."""

import argon2
import pytest

from gateway.store import users
from tests.conftest import TEN


@pytest.fixture
def real_hashing(monkeypatch):
    """Hash as the gateway does, which other tests have no time for."""
    monkeypatch.setattr(users, "PasswordHasher", argon2.PasswordHasher)
    users._hasher.cache_clear()
    yield
    users._hasher.cache_clear()


def test_a_password_is_hashed_as_rfc_9106_recommends(db, real_hashing):
    users.add("ada", "correct horse battery", TEN)
    kept = db.users.find_one({"name": "ada"})["password_hash"]
    assert argon2.extract_parameters(kept) == argon2.profiles.RFC_9106_LOW_MEMORY
    assert "correct" not in kept
