import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import type { OwnCertificate } from '../../lib/model/certificate.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { PairStatus, Report, TraceEntry } from '../../lib/model/report.ts'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import { policies } from '../../lib/policy/presets.ts'
import { predict } from '../../lib/policy/predict.ts'
import { explain } from '../../lib/rules/explain.ts'
import { describeProblems } from '../../lib/rules/sentences.ts'
import { EXPIRED, INCOMING, invalid, OUTGOING, SELF_SIGNED, THEM, US, VALID, VERIFICATION } from './peers.ts'
import { reportOf } from './reports.ts'

const base: Report = {
  schema: 1,
  peer: OUTGOING,
  policy: { name: 'ladder', options: undefined },
  startedAt: 0,
  endedAt: 0,
  level: undefined,
  endpoint: undefined,
  pairs: [],
  trace: [],
  downgrades: [],
  error: undefined,
  alternatives: []
}
const ok = { at: 0, took: 0, outcome: 'ok', code: 'ok' } as const
const endpoint = { host: 'xmpp1.shakespeare.example', port: 5269, tls: 'starttls', source: 'srv' } as const

const resolved: TraceEntry = { ...ok, attempt: 0, step: 'resolve', facts: { endpoints: [endpoint], failures: [] } }
const connected: TraceEntry = {
  ...ok,
  attempt: 1,
  took: 41,
  step: 'connect',
  facts: { endpoint, encryption: 'per-policy', address: '198.51.100.7' }
}
const opened: TraceEntry = {
  ...ok,
  attempt: 1,
  step: 'open-stream',
  facts: { encrypted: false, features: { ...NO_FEATURES, starttls: 'offered' } }
}
const secured: TraceEntry = {
  ...ok,
  attempt: 1,
  step: 'negotiate-tls',
  facts: { requiredByPeer: false, protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }
}
const policy = (
  question: 'admit' | 'tls' | 'certificate' | 'proofs' | 'afterFailure' | 'minimumLevel',
  answer: string,
  more: { asked?: string; by?: string; because?: string } = {}
): TraceEntry => ({
  ...ok,
  attempt: 1,
  step: 'policy',
  facts: { question, answer, by: 'ladder', ...more }
})
const judged = (verdict: typeof VALID, use: 'authenticate' | 'encrypt-only' | 'reject'): TraceEntry => ({
  ...ok,
  attempt: 1,
  step: 'check-certificate',
  facts: { verdict, use, ours: 'trusted' }
})
const status = (more: Partial<PairStatus> = {}): PairStatus => ({
  pair: { sender: US, target: THEM },
  flow: 'send',
  level: 'tls-dialback',
  peerIdentity: 'dns',
  ...more
})

function golden(report: Partial<Report>, lines: readonly string[]): void {
  assert.deepEqual(explain({ ...base, ...report }).split('\n'), lines)
}

describe('rules/explain', () => {
  it('tells of a link in clear how it came there and what would have kept it encrypted', () => {
    golden(
      {
        level: 'plain-dialback',
        pairs: [status({ level: 'plain-dialback' })],
        trace: [
          policy('admit', 'admit'),
          resolved,
          connected,
          opened,
          policy('tls', 'when-offered'),
          secured,
          policy('certificate', 'reject'),
          {
            ...judged(SELF_SIGNED, 'reject'),
            outcome: 'failed',
            code: 'S2S_CERTIFICATE',
            message: 'The certificate of the peer is not accepted: self-signed.'
          },
          policy('afterFailure', 'reconnect-plain'),
          policy('minimumLevel', 'plain-dialback'),
          { ...ok, attempt: 2, took: 9, step: 'connect', facts: { endpoint, encryption: 'none', address: '198.51.100.7' } },
          { ...ok, attempt: 2, step: 'open-stream', facts: { encrypted: false } },
          policy('tls', 'when-offered'),
          {
            ...ok,
            attempt: 2,
            step: 'negotiate-tls',
            outcome: 'skipped',
            code: 'reconnected-without-tls',
            facts: { requiredByPeer: false }
          },
          policy('proofs', 'dialback'),
          { ...ok, attempt: 2, step: 'sasl-external', outcome: 'skipped', code: 'not-encrypted', facts: {} },
          { ...ok, attempt: 2, step: 'dialback', facts: { encrypted: false, answer: 'valid' } },
          { ...ok, attempt: 2, step: 'establish', facts: { level: 'plain-dialback' } }
        ],
        alternatives: [
          { change: 'acceptSelfSigned', level: 'tls-dialback' },
          { change: 'invalidCertificate: encrypt-only', level: 'tls-dialback' }
        ]
      },
      [
        'verona.example → shakespeare.example: plain-dialback',
        '  1  resolve            SRV _xmpp-server._tcp.shakespeare.example → xmpp1.shakespeare.example:5269',
        '  2  connect            198.51.100.7:5269 in 41 ms',
        '  3  negotiate-tls      TLS 1.3, TLS_AES_256_GCM_SHA384',
        '  4  check-certificate  rejected: self-signed',
        '     policy             ladder: reconnect-plain',
        '  5  connect            198.51.100.7:5269, second connection, TLS not attempted',
        '  6  dialback           key confirmed by the authoritative server',
        '  This link is NOT encrypted. With acceptSelfSigned it would be tls-dialback.'
      ]
    )
  })

  it('says so plainly where nothing is known that would raise a link in clear', () => {
    const lines = explain({ ...base, level: 'plain-dialback', pairs: [status({ level: 'plain-dialback' })] }).split('\n')
    assert.equal(lines.at(-1), '  This link is NOT encrypted. No single option of our policy is known that would raise it.')
  })

  it('says what else it would take to encrypt: a certificate of our own, or a peer that offers TLS', () => {
    const plain: Report = { ...base, level: 'plain-dialback', pairs: [status({ level: 'plain-dialback' })] }
    const lastOf = (report: Report): string | undefined => explain(report).split('\n').at(-1)
    const absent: TraceEntry = {
      ...ok,
      attempt: 1,
      step: 'negotiate-tls',
      outcome: 'absent',
      code: 'tls-not-offered',
      facts: { requiredByPeer: false }
    }
    assert.equal(lastOf({ ...plain, trace: [absent] }), '  This link is NOT encrypted. It would take a peer that offers TLS.')
    assert.equal(
      lastOf({ ...plain, peer: { ...INCOMING, ours: 'missing' } }),
      '  This link is NOT encrypted. It would take a certificate for verona.example.'
    )
  })

  it('tells of EXTERNAL', () => {
    golden(
      {
        level: 'sasl-external',
        pairs: [status({ level: 'sasl-external', peerIdentity: 'pkix' })],
        trace: [
          {
            ...resolved,
            facts: {
              endpoints: [endpoint, { host: 'direct.example', port: 5270, tls: 'direct', source: 'srv' }],
              failures: ['the lookup of _xmpps-server._tcp timed out once']
            }
          },
          { ...connected, facts: { endpoint, encryption: 'per-policy', address: '2001:db8::7' } },
          secured,
          policy('certificate', 'authenticate'),
          judged(VALID, 'authenticate'),
          { ...ok, attempt: 1, step: 'sasl-external', facts: {} }
        ]
      },
      [
        'verona.example → shakespeare.example: sasl-external',
        '  1  resolve            SRV _xmpp-server._tcp.shakespeare.example, _xmpps-server._tcp.shakespeare.example → xmpp1.shakespeare.example:5269, direct.example:5270 (direct TLS); the lookup of _xmpps-server._tcp timed out once',
        '  2  connect            [2001:db8::7]:5269 in 41 ms',
        '  3  negotiate-tls      TLS 1.3, TLS_AES_256_GCM_SHA384',
        '  4  check-certificate  valid for shakespeare.example',
        '  5  sasl-external      accepted',
        '  This link is encrypted, and both sides are proved by certificates.'
      ]
    )
  })

  it('keeps failed, refused, absent and skipped apart', () => {
    golden(
      {
        error: { code: 'S2S_SASL_REFUSED', message: 'SASL authentication was refused: EXTERNAL, not-authorized.' },
        alternatives: [{ change: 'dialback: always', level: 'plain-dialback' }],
        trace: [
          { ...resolved, facts: { endpoints: [{ ...endpoint, host: 'shakespeare.example', source: 'fallback' }], failures: [] } },
          {
            ...connected,
            outcome: 'failed',
            code: 'S2S_CONNECT_FAILED',
            message: 'No address of the server accepted a connection: refused.',
            facts: { endpoint, encryption: 'per-policy' }
          },
          policy('afterFailure', 'next-endpoint'),
          { ...connected, attempt: 2 },
          { ...opened, attempt: 2, outcome: 'failed', code: 'S2S_STREAM_CLOSED', message: 'The stream ended.' },
          { ...ok, attempt: 3, step: 'negotiate-tls', outcome: 'absent', code: 'tls-not-offered', facts: { requiredByPeer: false } },
          {
            ...ok,
            attempt: 3,
            step: 'sasl-external',
            outcome: 'refused',
            code: 'S2S_SASL_REFUSED',
            facts: { condition: 'not-authorized', text: 'no such certificate' }
          },
          { ...ok, attempt: 3, step: 'sasl-plain', outcome: 'skipped', code: 'not-offered', facts: {} },
          { ...ok, attempt: 3, step: 'dialback', outcome: 'skipped', code: 'policy', facts: { encrypted: true } },
          policy('afterFailure', 'give-up', { asked: 'reconnect-plain', by: 'clamp', because: 'the peer requires TLS' })
        ]
      },
      [
        'verona.example → shakespeare.example: none',
        '  1  resolve            no SRV record of shakespeare.example → shakespeare.example:5269',
        '  2  connect            xmpp1.shakespeare.example:5269, failed: No address of the server accepted a connection: refused',
        '     policy             ladder: next-endpoint',
        '  3  connect            198.51.100.7:5269, second connection',
        '  4  open-stream        failed: The stream ended',
        '  5  negotiate-tls      absent: the peer does not offer TLS',
        '  6  sasl-external      refused: not-authorized (no such certificate)',
        '  7  sasl-plain         absent: the peer does not offer it',
        '  8  dialback           skipped: policy does not want it',
        '     policy             give-up; reconnect-plain is ruled out whatever policy says (the peer requires TLS)',
        '  There is no link. SASL authentication was refused: EXTERNAL, not-authorized. With dialback: always it would be plain-dialback, NOT encrypted.'
      ]
    )
  })

  it('tells of an incoming stream with its pairs, each by its evidence', () => {
    const pair = { sender: THEM, target: US }
    const other = { sender: domain('other.example'), target: US }
    golden(
      {
        peer: INCOMING,
        level: 'tls-dialback',
        pairs: [
          { pair, flow: 'receive', level: 'sasl-external', peerIdentity: 'pkix' },
          { pair: other, flow: 'receive', level: 'tls-dialback', peerIdentity: 'dns', verifiedOver: 'verified-tls' }
        ],
        trace: [
          secured,
          policy('certificate', 'encrypt-only', { because: 'no client certificate' }),
          judged(MISSING_CERTIFICATE, 'encrypt-only'),
          { ...ok, attempt: 1, step: 'sasl-external', facts: {} },
          { ...ok, attempt: 1, step: 'dialback', facts: { encrypted: true, pair: other, answer: 'valid', verifiedOver: 'verified-tls' } },
          { ...ok, attempt: 1, step: 'dialback', facts: { encrypted: true, pair, answer: 'valid', withoutDialback: true } }
        ]
      },
      [
        'shakespeare.example → verona.example: tls-dialback, incoming',
        '  1  negotiate-tls      TLS 1.3, TLS_AES_256_GCM_SHA384',
        '  2  check-certificate  for encryption only: no certificate was presented',
        '     policy             ladder: encrypt-only (no client certificate)',
        '  3  sasl-external      accepted',
        '  4  dialback           other.example → verona.example: key confirmed by the authoritative server, asked over verified TLS',
        '  5  dialback           shakespeare.example → verona.example: the certificate vouches for the sender, no key was asked about',
        '     pair               shakespeare.example → verona.example: sasl-external',
        '     pair               other.example → verona.example: tls-dialback',
        '  This link is encrypted, but no certificate proves the peer: dialback is worth what DNS is worth.'
      ]
    )
    assert.equal(
      explain({ ...base, peer: { ...INCOMING, remote: undefined } }).split('\n')[0],
      'an unnamed peer → verona.example: none, incoming'
    )
  })

  it('ends with what stopped the negotiation behind the first failure that mattered', () => {
    const refused = (step: 'sasl-external' | 'dialback', code: string, message: string): TraceEntry =>
      step === 'dialback'
        ? { ...ok, attempt: 1, step, outcome: 'refused', code, message, facts: { encrypted: true } }
        : { ...ok, attempt: 1, step, outcome: 'refused', code, message, facts: {} }
    const external = refused('sasl-external', 'S2S_SASL_REFUSED', 'SASL authentication was refused: EXTERNAL, not-authorized.')
    const dialback = refused('dialback', 'S2S_DIALBACK_ERROR', 'Dialback could not be carried out: remote-server-timeout.')
    const message = 'No proof of identity that both sides allow is left: not dialback (it was refused).'
    const noneLeft: TraceEntry = { ...ok, attempt: 1, step: 'establish', outcome: 'refused', code: 'S2S_NO_PROOF_LEFT', message, facts: {} }
    const lastOf = (code: 'S2S_SASL_REFUSED' | 'S2S_DIALBACK_ERROR', ...trace: TraceEntry[]): string | undefined => {
      const message = trace.find(entry => entry.code === code)?.message ?? ''
      return explain({ ...base, error: { code, message }, trace })
        .split('\n')
        .at(-1)
    }
    assert.equal(
      lastOf('S2S_SASL_REFUSED', external, dialback, noneLeft),
      '  There is no link. SASL authentication was refused: EXTERNAL, not-authorized. Then dialback could not be carried out: remote-server-timeout.'
    )
    assert.equal(
      lastOf('S2S_DIALBACK_ERROR', dialback, { ...external, outcome: 'failed', message: 'TLS broke.' }),
      '  There is no link. Dialback could not be carried out: remote-server-timeout. Then TLS broke.'
    )
    assert.equal(
      lastOf('S2S_SASL_REFUSED', external, { ...dialback, outcome: 'failed', message: 'The peer took too long: 30000 ms.' }),
      '  There is no link. SASL authentication was refused: EXTERNAL, not-authorized. Then dialback failed: the peer took too long: 30000 ms.'
    )
    assert.equal(
      lastOf('S2S_SASL_REFUSED', dialback, external, external, noneLeft),
      '  There is no link. SASL authentication was refused: EXTERNAL, not-authorized.'
    )
  })

  it('tells what each level is worth, to either side', () => {
    const last = (report: Partial<Report>): string | undefined =>
      explain({ ...base, ...report })
        .split('\n')
        .at(-1)
        ?.trim()
    const verified = [status({ peerIdentity: 'pkix' })]
    assert.equal(
      last({ level: 'tls-dialback', pairs: verified }),
      'This link is encrypted, and the certificate of the peer verified; we are proved by dialback, which is worth what DNS is worth.'
    )
    assert.equal(
      last({ level: 'tls-dialback', pairs: verified, peer: INCOMING }),
      'This link is encrypted, and the certificate of the peer verified.'
    )
    assert.equal(
      last({ level: 'tls-dialback', pairs: [status()] }),
      'This link is encrypted, but no certificate proves the peer: dialback is worth what DNS is worth.'
    )
    assert.equal(last({ level: 'sasl-external', peer: INCOMING }), 'This link is encrypted, and the peer is proved by its certificate.')
    assert.equal(last({ level: 'sasl-plain' }), 'This link is encrypted, and we are proved by a password.')
    assert.equal(last({ level: 'sasl-plain', peer: INCOMING }), 'This link is encrypted, and the peer is proved by a password.')
    assert.equal(last({}), 'There is no link.')
  })

  it('tells of a verification what was said, which makes no link', () => {
    const asked = (answer: 'valid' | 'invalid' | 'error'): TraceEntry => ({
      ...ok,
      attempt: 1,
      step: 'dialback',
      facts: { encrypted: true, answer, verifiedOver: 'tls' }
    })
    const linesOf = (report: Partial<Report>): readonly string[] => explain({ ...base, peer: VERIFICATION, ...report }).split('\n')
    assert.deepEqual(linesOf({ trace: [asked('valid')] }), [
      'verona.example → shakespeare.example: verification',
      '  1  dialback           key confirmed by the authoritative server, asked over TLS',
      '  The authoritative server has answered.'
    ])
    assert.match(linesOf({ trace: [asked('invalid')] })[1] ?? '', /key unknown to the authoritative server, asked over TLS$/)
    assert.match(linesOf({ trace: [asked('error')] })[1] ?? '', /no answer about the key from the authoritative server, but an error/)
    assert.equal(
      linesOf({ error: { code: 'S2S_CONNECT_FAILED', message: 'No address of the server accepted a connection: refused.' } }).at(-1),
      '  The authoritative server could not be asked. No address of the server accepted a connection: refused.'
    )
    assert.equal(linesOf({ peer: INCOMING }).at(-1), '  There is no link: the peer asked for nothing but verifications of dialback.')
  })

  it('names the names of a certificate for somebody else, a few of them', () => {
    const named = (...presented: readonly string[]): string =>
      describeProblems(invalid({ kind: 'wrong-identity', expected: THEM, presented }))
    assert.equal(named(), 'not valid for shakespeare.example (it names none)')
    assert.equal(
      named('elsewhere.example', '_xmpp-server.elsewhere.example'),
      'not valid for shakespeare.example (it names elsewhere.example, _xmpp-server.elsewhere.example)'
    )
    assert.match(named('a', 'b', 'c', 'd', 'e', 'f', 'g\u001b'), /\(it names a, b, c, d, e and 2 more\)$/)
  })

  it('says what our own certificate may have to do with an EXTERNAL that is not offered', () => {
    const absent: TraceEntry = { ...ok, attempt: 1, step: 'sasl-external', outcome: 'absent', code: 'not-offered', facts: {} }
    const lineOf = (entry: TraceEntry, ours: OwnCertificate): string | undefined =>
      explain({ ...base, peer: { ...OUTGOING, ours }, trace: [entry] })
        .split('\n')[1]
        ?.replace(/^.*external +/u, '')
    assert.equal(lineOf(absent, 'trusted'), 'absent: the peer does not offer it')
    assert.equal(lineOf(absent, 'self-signed'), 'absent: the peer does not offer it, and our own certificate is self-signed')
    assert.equal(lineOf(absent, 'invalid'), 'absent: the peer does not offer it, and our own certificate does not verify')
    const because = describeProblems(invalid({ kind: 'wrong-identity', expected: US, presented: ['other.example'] }))
    assert.match(
      explain({ ...base, peer: { ...OUTGOING, ours: 'invalid', oursBecause: because }, trace: [absent] }),
      /and our own certificate does not verify: not valid for verona\.example \(it names other\.example\)$/m
    )
    const skipped: TraceEntry = { ...absent, outcome: 'skipped', code: 'own-certificate' }
    assert.equal(lineOf(skipped, 'missing'), 'skipped: we have no certificate of our own')
    assert.equal(lineOf({ ...skipped, code: 'policy' }, 'invalid'), 'skipped: policy does not want it')
  })

  it('says behind a dialback that failed that EXTERNAL was not tried for want of a certificate', () => {
    const skipped: TraceEntry = { ...ok, attempt: 1, step: 'sasl-external', outcome: 'skipped', code: 'own-certificate', facts: {} }
    const message = 'The peer ended the stream with an error: not-authorized.'
    const error = { code: 'S2S_STREAM_ERROR_RECEIVED', message } as const
    const failed: TraceEntry = { ...ok, attempt: 1, step: 'dialback', outcome: 'failed', ...error, facts: { encrypted: true } }
    const lastOf = (report: Partial<Report>): string | undefined =>
      explain({ ...base, peer: { ...OUTGOING, ours: 'missing' }, error, ...report })
        .split('\n')
        .at(-1)
    assert.equal(
      lastOf({ trace: [skipped, failed] }),
      `  There is no link. ${message} EXTERNAL was not tried: we have no certificate of our own.`
    )
    assert.equal(
      lastOf({ peer: { ...OUTGOING, ours: 'self-signed' }, trace: [skipped, { ...failed, outcome: 'refused' }] }),
      `  There is no link. ${message} EXTERNAL was not tried: our own certificate is self-signed.`
    )
    assert.equal(
      lastOf({ trace: [skipped, failed], alternatives: [{ change: 'tls=never', level: 'plain-dialback' }] }),
      `  There is no link. ${message} EXTERNAL was not tried: we have no certificate of our own. With tls=never it would be plain-dialback, NOT encrypted.`
    )
    for (const [what, trace] of Object.entries({
      'it was not for that reason': [{ ...skipped, code: 'policy' }, failed],
      'dialback did not fail': [skipped, { ...failed, outcome: 'ok' } as const],
      'dialback was not tried': [skipped]
    } satisfies Record<string, readonly TraceEntry[]>))
      assert.equal(lastOf({ trace }), `  There is no link. ${message}`, what)
    const noneLeft = 'No proof of identity that both sides allow is left: not SASL EXTERNAL (we have no certificate of our own).'
    assert.equal(
      lastOf({ trace: [skipped, failed], error: { code: 'S2S_NO_PROOF_LEFT', message: noneLeft } })?.includes('was not tried'),
      false,
      'it is said once'
    )
  })

  it('does not tell of a password that nobody configured', () => {
    const clamped = policy('proofs', 'sasl-external', { asked: 'sasl-external,sasl-plain', by: 'clamp', because: 'it is below the floor' })
    assert.equal(explain({ ...base, trace: [clamped] }).split('\n').length, 2)
    const tried: TraceEntry = { ...ok, attempt: 1, step: 'sasl-plain', outcome: 'skipped', code: 'below-floor', facts: {} }
    assert.match(
      explain({ ...base, trace: [clamped, tried] }),
      / {2}sasl-external; sasl-plain is ruled out whatever policy says \(it is below the floor\)$/m
    )
    const dialbackToo = policy('proofs', 'sasl-external', { asked: 'sasl-external,sasl-plain,dialback', by: 'clamp' })
    assert.match(explain({ ...base, trace: [dialbackToo] }), / {2}sasl-external; sasl-plain, dialback are ruled out whatever policy says$/m)
  })

  it('lets no text of a peer act on a terminal, escaped before or not', () => {
    const nasty = 'a\u001b[2Jb\u202ec\nd'
    const lines = explain({
      ...base,
      error: { code: 'S2S_STREAM_ERROR_RECEIVED', message: `The peer ended the stream with an error: ${nasty}.` },
      trace: [
        {
          ...ok,
          attempt: 1,
          step: 'sasl-external',
          outcome: 'refused',
          code: 'S2S_SASL_REFUSED',
          facts: { condition: 'not-authorized', text: nasty }
        },
        { ...connected, facts: { endpoint: { ...endpoint, host: nasty }, encryption: 'per-policy' } },
        judged({ ...EXPIRED, problems: [{ kind: 'untrusted-issuer', issuer: nasty }] }, 'reject'),
        policy('certificate', 'reject', { because: nasty, asked: 'authenticate' })
      ]
    })
    assert.equal(lines.split('\n').length, 6)
    assert.doesNotMatch(lines.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
    assert.match(lines, /refused: not-authorized \(a\\u\{1b\}\[2Jb\\u\{202e\}c\\u\{a\}d\)/)
    assert.match(explain({ ...base, error: { code: 'S2S_INTERNAL', message: 'x: a\\u{1b}b.' } }), /a\\u\{1b\}b/)
  })

  it('explains whatever is predicted, line by line', () => {
    const initiator = { policy: policies.ladder(), certificate: 'valid', domain: 'verona.example' } as const
    const receiver = { policy: policies.ladder(), certificate: 'expired', domain: 'shakespeare.example' } as const
    assert.equal(
      explain(reportOf(predict(initiator, receiver), initiator, receiver)),
      [
        'verona.example → shakespeare.example: plain-dialback',
        '  1  resolve            SRV _xmpp-server._tcp.shakespeare.example → shakespeare.example:5269',
        '  2  connect            shakespeare.example:5269 in 0 ms',
        '  3  negotiate-tls      TLS',
        '  4  check-certificate  rejected: expired on 2000-01-01T00:00:00.000Z',
        '     policy             ladder: reconnect-plain',
        '  5  connect            shakespeare.example:5269, second connection, TLS not attempted',
        // Our listener rejects the expired certificate of the one that asks, too: it comes back in clear.
        '  6  dialback           key confirmed by the authoritative server, asked in clear',
        '  This link is NOT encrypted. No single option of our policy is known that would raise it.'
      ].join('\n')
    )
  })
})
