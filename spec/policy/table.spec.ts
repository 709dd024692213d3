import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { readTable } from '../../lib/policy/table.ts'

describe('policy/table', () => {
  const openfire = { encryption: 'optional', certificate: 'invalid', strict: false, dialback: true }
  const preset = {
    policy: 'openfire36',
    options: { acceptSelfSigned: true },
    certificate: 'self-signed',
    offers: { external: 'refused' },
    domain: 'a.example'
  }

  it('reads both kinds of sides, and the sentence behind a reason', () => {
    const [row] = readTable({
      reasons: { R1: 'Because.' },
      rows: [{ initiator: openfire, receiver: preset, expected: 'none', reason: 'R1' }]
    })
    assert.deepEqual(row?.initiator.policy.options, {
      tls: 'when-offered',
      invalidCertificate: 'encrypt-only',
      acceptSelfSigned: false,
      external: true,
      dialback: 'always',
      verification: 'when-offered',
      minimumLevel: 'plain-dialback'
    })
    assert.equal(row.initiator.certificate, 'expired')
    assert.deepEqual(row.receiver.policy.options, { tls: 'when-offered', dialback: 'always', acceptSelfSigned: true })
    assert.deepEqual(
      [row.receiver.domain, row.receiver.certificate, row.receiver.offers],
      ['a.example', 'self-signed', { external: 'refused' }]
    )
    assert.deepEqual([row.expected, row.reason], [undefined, 'Because.'])
  })

  const rows: readonly [place: string, table: unknown][] = [
    ['the table', []],
    ['rows', {}],
    ['rows[0]', { rows: [7] }],
    ['rows[0].expected', { rows: [{ initiator: preset, receiver: preset, expected: 'sasl' }] }],
    ['rows[0].receiver', { rows: [{ initiator: preset, expected: 'none' }] }],
    ['rows[0].initiator.certificate', { rows: [{ initiator: { ...preset, certificate: 'fine' }, receiver: preset, expected: 'none' }] }],
    ['rows[0].initiator.encryption', { rows: [{ initiator: { ...openfire, encryption: 'maybe' }, receiver: preset, expected: 'none' }] }],
    ['rows[0].initiator.strict', { rows: [{ initiator: { ...openfire, strict: 1 }, receiver: preset, expected: 'none' }] }],
    ['rows[0].initiator.policy', { rows: [{ initiator: { ...preset, policy: 'lax' }, receiver: preset, expected: 'none' }] }],
    [
      'rows[0].initiator.options',
      { rows: [{ initiator: { ...preset, options: { external: true } }, receiver: preset, expected: 'none' }] }
    ],
    [
      'rows[0].initiator.offers.starttls',
      { rows: [{ initiator: { ...preset, offers: { starttls: 'yes' } }, receiver: preset, expected: 'none' }] }
    ],
    ['rows[0].initiator.offers', { rows: [{ initiator: { ...preset, offers: { tls: true } }, receiver: preset, expected: 'none' }] }],
    ['rows[0].initiator', { rows: [{ initiator: { ...preset, strict: true }, receiver: preset, expected: 'none' }] }],
    ['rows[0].initiator.domain', { rows: [{ initiator: { ...preset, domain: 1 }, receiver: preset, expected: 'none' }] }]
  ]
  for (const [place, table] of rows) {
    it(`names ${place} where it is not usable`, () => {
      const start = `An option is not usable: ${place}`
      assert.throws(
        () => readTable(table),
        (error: unknown) =>
          FederationError.is(error) && error.code === 'S2S_CONFIG' && [' ', ':'].some(end => error.message.startsWith(start + end))
      )
    })
  }
})
