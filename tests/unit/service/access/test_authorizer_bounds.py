"""Bounds of what players can make a worker keep: verified credentials."""

from __future__ import annotations

from support.tokens import AUDIENCE, ISSUER, SECRET, Issuer

from service.access.authorizer import Authorizer
from service.access.grant import Grant
from service.access.keyring import Keyring
from service.access.tokens import Secret, Tokens


def test_verified_credentials_are_kept_up_to_a_number() -> None:
    tokens = Tokens(Secret(SECRET), algorithm="HS256", issuer=ISSUER, audience=AUDIENCE, scopes=("read", "submit"))
    authorizer, issuer = Authorizer(Keyring(""), tokens), Issuer("HS256")
    kept = set()
    for number in range(8_200):
        grant = authorizer.admit(b"Bearer " + issuer.token(f"p{number}").encode(), 1, "s")
        assert isinstance(grant, Grant)
        kept.add(len(authorizer._known))
    assert max(kept) == 8_192
