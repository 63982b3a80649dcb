// A verifier in JavaScript, by jose.

import assert from 'node:assert/strict'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const what = JSON.parse(process.argv[2])
const keys = createRemoteJWKSet(new URL(what.jwks_uri))
const rules = {
  algorithms: [what.algorithm],
  issuer: what.issuer,
  audience: what.audience,
  typ: 'at+jwt',
  requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
}

const { payload, protectedHeader } = await jwtVerify(what.token, keys, rules)
assert.equal(protectedHeader.alg, what.algorithm)
assert.equal(payload.username, what.username)
assert.deepEqual(payload.roles, ['reader'])

for (const other of [{ audience: 'other' }, { issuer: 'https://other.example' }, { typ: 'JWT' }]) {
  await assert.rejects(jwtVerify(what.token, keys, { ...rules, ...other }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
}

console.log('everything holds')
