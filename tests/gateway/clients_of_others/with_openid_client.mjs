// An OAuth client in JavaScript, by openid-client. It refuses plain http unless told otherwise: allowInsecureRequests is its switch for
// tests on one machine.

import assert from 'node:assert/strict'
import * as client from 'openid-client'

const what = JSON.parse(process.argv[2])
const authentication = { client_secret_basic: client.ClientSecretBasic, client_secret_post: client.ClientSecretPost }[what.auth]

const discover = (secret) =>
  client.discovery(new URL(what.issuer), what.client_id, undefined, authentication(secret), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  })
const get = (config, token) => client.fetchProtectedResource(config, token, new URL(what.resource), 'GET')

// Discovery.
const config = await discover(what.client_secret)
const metadata = config.serverMetadata()
assert.equal(metadata.issuer, what.issuer)
assert.ok(metadata.token_endpoint_auth_methods_supported.includes(what.auth))

// From the resource back to its authorization server (RFC 9728).
await assert.rejects(get(config, 'x'), (error) => {
  assert.equal(error.code, 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
  assert.equal(error.cause[0].parameters.error, 'invalid_token')
  return true
})
const challenge = (await fetch(what.resource)).headers.get('www-authenticate')
const place = /resource_metadata="([^"]+)"/.exec(challenge)[1]
assert.deepEqual((await (await fetch(place)).json()).authorization_servers, [what.issuer])

// The password grant, and the resource.
const login = { username: what.username, password: what.password }
const first = await client.genericGrantRequest(config, 'password', login)
assert.equal(first.token_type, 'bearer')
assert.ok(first.expiresIn() > 0)
assert.equal((await get(config, first.access_token)).status, 200)

// The refresh grant.
const second = await client.refreshTokenGrant(config, first.refresh_token)
assert.notEqual(second.refresh_token, first.refresh_token)
assert.equal((await get(config, second.access_token)).status, 200)

// Introspection.
const introspect = (token, hint) => client.tokenIntrospection(config, token, hint && { token_type_hint: hint })
const told = await introspect(second.access_token, 'access_token')
assert.deepEqual([told.active, told.username, told.client_id], [true, what.username, what.client_id])
assert.equal((await introspect(second.refresh_token, 'refresh_token')).active, true)

// Revocation: the refresh token takes its session along.
await client.tokenRevocation(config, second.refresh_token, { token_type_hint: 'refresh_token' })
assert.deepEqual(await introspect(second.access_token), { active: false })
await assert.rejects(get(config, second.access_token), { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })
await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), { error: 'invalid_grant' })

// The client credentials grant.
const program = await client.clientCredentialsGrant(config)
assert.equal(program.refresh_token, undefined)
assert.equal((await get(config, program.access_token)).status, 200)
await client.tokenRevocation(config, program.access_token)
assert.deepEqual(await introspect(program.access_token), { active: false })

// What is refused is an error that the library knows.
await assert.rejects(client.genericGrantRequest(config, 'password', { ...login, password: 'wrong' }), {
  error: 'invalid_grant',
  status: 400,
})
await assert.rejects(client.genericGrantRequest(config, 'urn:example:other', {}), { error: 'unsupported_grant_type' })
await assert.rejects(client.clientCredentialsGrant(await discover('wrong')), { status: 401 })

console.log('everything holds')
