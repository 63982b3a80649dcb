"""A verifier in Python, by PyJWT."""

import json
import sys

import jwt

what = json.loads(sys.argv[1])
token = what["token"]
rules = {
    "algorithms": [what["algorithm"]],
    "issuer": what["issuer"],
    "audience": what["audience"],
    "options": {"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
}

key = jwt.PyJWKClient(what["jwks_uri"]).get_signing_key_from_jwt(token)
assert key.algorithm_name == what["algorithm"]
assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
claims = jwt.decode(token, key, **rules)
assert claims["username"] == what["username"] and claims["roles"] == ["reader"]

for other in [{"audience": "other"}, {"issuer": "https://other.example"}]:
    try:
        jwt.decode(token, key, **{**rules, **other})
    except jwt.InvalidTokenError:
        continue
    raise AssertionError(f"passes with {other}")

print("everything holds")
