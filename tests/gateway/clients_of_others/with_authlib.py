"""An OAuth client in Python, by Authlib. Plain http is allowed there for loopback addresses."""

import json
import sys

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

what = json.loads(sys.argv[1])
RESOURCE = what["resource"]


def session(**more):
    credentials = {"client_id": what["client_id"], "client_secret": what["client_secret"]}
    return OAuth2Session(**{**credentials, "token_endpoint_auth_method": what["auth"], **more})


def refused(code, work):
    try:
        work()
    except OAuthError as error:
        assert error.error == code, f"{error.error} instead of {code}"
    else:
        raise AssertionError(f"not refused with {code}")


# Discovery.
url = get_well_known_url(what["issuer"], external=True)
metadata = AuthorizationServerMetadata(requests.get(url, timeout=30).json())
metadata.validate()
assert metadata["issuer"] == what["issuer"]
assert what["auth"] in metadata["token_endpoint_auth_methods_supported"]
TOKEN = metadata["token_endpoint"]

# From the resource back to its authorization server (RFC 9728).
challenge = requests.get(RESOURCE, timeout=30).headers["WWW-Authenticate"]
place = challenge.split('resource_metadata="')[1].split('"')[0]
assert requests.get(place, timeout=30).json()["authorization_servers"] == [what["issuer"]]

# The password grant, and the resource.
login = session(token_endpoint=TOKEN)
first = login.fetch_token(TOKEN, username=what["username"], password=what["password"])
assert first["token_type"] == "Bearer" and not first.is_expired()
assert login.get(RESOURCE).status_code == 200

# The refresh grant, by hand and by itself when the library finds the token too old.
second = login.refresh_token(TOKEN, refresh_token=first["refresh_token"])
assert second["refresh_token"] != first["refresh_token"]
login.token["expires_at"] = 1
assert login.get(RESOURCE).status_code == 200
third = login.token
assert third["access_token"] != second["access_token"]

# Introspection.
INTROSPECT = metadata["introspection_endpoint"]
told = login.introspect_token(INTROSPECT, token=third["access_token"], token_type_hint="access_token").json()
assert told["active"] and told["username"] == what["username"] and told["client_id"] == what["client_id"], told
told = login.introspect_token(INTROSPECT, token=third["refresh_token"], token_type_hint="refresh_token").json()
assert told["active"], told

# Revocation: the refresh token takes its session along.
gone = login.revoke_token(metadata["revocation_endpoint"], token=third["refresh_token"], token_type_hint="refresh_token")
assert gone.status_code == 200
assert login.introspect_token(INTROSPECT, token=third["access_token"]).json() == {"active": False}
assert requests.get(RESOURCE, headers={"Authorization": f"Bearer {third['access_token']}"}, timeout=30).status_code == 401
refused("invalid_grant", lambda: session().refresh_token(TOKEN, refresh_token=third["refresh_token"]))

# The client credentials grant.
program = session()
granted = program.fetch_token(TOKEN, grant_type="client_credentials")
assert "refresh_token" not in granted
assert program.get(RESOURCE).status_code == 200
program.revoke_token(metadata["revocation_endpoint"], token=granted["access_token"])
assert program.introspect_token(INTROSPECT, token=granted["access_token"]).json() == {"active": False}

# What is refused is an error that the library knows.
refused("invalid_grant", lambda: session().fetch_token(TOKEN, username=what["username"], password="wrong"))
refused("invalid_client", lambda: session(client_secret="wrong").fetch_token(TOKEN, grant_type="client_credentials"))
refused("unsupported_grant_type", lambda: session().fetch_token(TOKEN, grant_type="urn:example:other"))

print("everything holds")
