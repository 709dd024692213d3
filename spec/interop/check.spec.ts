import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CertificateState, SecurityLevel } from '../../lib/index.ts'
import type { Run } from '../cli/process.ts'
import { runHere } from '../cli/run-here.ts'
import { ENGINE, openLab, type Lab } from './lab.ts'
import { DOMAIN, KINDS, needs, type ServerKind, type ServerVariant } from './server.ts'

type Shown = Exclude<CertificateState, 'missing'>

/** Of an address of its own. */
const PORT = 5269

/** What `check` meets, with which options. */
interface Meeting {
  readonly variant: ServerVariant
  readonly theirs?: Shown
  readonly ours?: CertificateState
  /** Whether it is published for TLS from the first byte, and for nothing else. */
  readonly direct?: boolean
  readonly options?: readonly string[]
}

const ACCEPTING = ['--option', 'acceptSelfSigned=true']

const GOLDEN: Readonly<Record<Exclude<SecurityLevel, 'sasl-plain'>, Meeting>> = {
  'sasl-external': { variant: 'strict' },
  'tls-dialback': { variant: 'default', theirs: 'self-signed', options: ACCEPTING },
  'plain-dialback': { variant: 'plain' }
}

/** Meetings with a link, beside the golden ones. */
const WITH: readonly (readonly [meeting: Meeting, level: SecurityLevel])[] = [
  [{ variant: 'optional' }, 'sasl-external'],
  [{ variant: 'optional', ours: 'missing' }, 'tls-dialback'],
  [{ variant: 'optional', theirs: 'self-signed', options: ACCEPTING }, 'tls-dialback'],
  [{ variant: 'default', direct: true }, 'sasl-external'],
  [{ variant: 'default', direct: true, theirs: 'self-signed', options: ACCEPTING }, 'tls-dialback']
]

const REQUIRED_BY_US = 'The peer refused STARTTLS: it does not offer it, and when it was asked all the same, it ended the stream with'

/** ejabberd that takes no certificate of ours takes no key either. */
const DIALBACK_TOO = 'Then dialback failed: the peer ended the stream with an error: not-authorized.'

/** Meetings without a link, each with the sentence that has to come last. */
const WITHOUT: Readonly<Record<ServerKind, readonly (readonly [meeting: Meeting, last: string])[]>> = {
  prosody: [
    [
      { variant: 'strict', ours: 'self-signed' },
      "The peer refused us because of our certificate: not-authorized, Your server's certificate is not trusted."
    ],
    [
      { variant: 'strict', ours: 'missing' },
      'The peer refused us because of our certificate: it wants one, and we have none ' +
        "(not-authorized, Your server's certificate could not be validated)."
    ],
    [
      { variant: 'strict', ours: 'expired' },
      "The peer refused us because of our certificate: not-authorized, Your server's certificate has expired."
    ],
    [
      { variant: 'nodialback', ours: 'self-signed' },
      "The peer refused us because of our certificate: not-authorized, Your server's certificate is not trusted."
    ],
    [
      { variant: 'nodialback', theirs: 'self-signed', options: ACCEPTING },
      'No proof of identity that both sides allow is left: not SASL EXTERNAL (the certificate of the peer authenticates nobody), ' +
        'not dialback (the peer does not offer it).'
    ],
    [{ variant: 'plain', options: ['--policy', 'encrypted'] }, `${REQUIRED_BY_US} unsupported-stanza-type.`],
    [{ variant: 'plain', options: ['--policy', 'strict'] }, `${REQUIRED_BY_US} unsupported-stanza-type.`],
    [
      { variant: 'plain', options: ['--option', 'dialback=over-tls'] },
      'No proof of identity that both sides allow is left: not SASL EXTERNAL (the stream is not encrypted), not dialback (policy does not want it).'
    ],
    [{ variant: 'default', theirs: 'self-signed' }, 'The certificate of the peer is not accepted: self-signed.'],
    [
      { variant: 'default', theirs: 'wrong-host' },
      'The certificate of the peer is not accepted: not valid for prosody.test (it names elsewhere.invalid, _xmpp-server.elsewhere.invalid).'
    ],
    [
      { variant: 'default', ours: 'expired', options: ['--policy', 'strict'] },
      'The peer does not offer the SASL mechanism: ' +
        'not SASL EXTERNAL (the peer does not offer it, and our own certificate does not verify: expired on DATE), not dialback (policy does not want it).'
    ]
  ],
  ejabberd: [
    [
      { variant: 'strict', ours: 'self-signed' },
      `SASL authentication was refused: EXTERNAL, not-authorized, self signed certificate. ${DIALBACK_TOO}`
    ],
    [
      { variant: 'strict', ours: 'expired' },
      `SASL authentication was refused: EXTERNAL, not-authorized, certificate has expired. ${DIALBACK_TOO}`
    ],
    [
      { variant: 'strict', ours: 'missing' },
      'The peer ended the stream with an error: not-authorized. EXTERNAL was not tried: we have no certificate of our own.'
    ],
    [
      { variant: 'strict', ours: 'server-auth-only' },
      `SASL authentication was refused: EXTERNAL, not-authorized, unsupported certificate purpose. ${DIALBACK_TOO}`
    ],
    [
      { variant: 'plain', options: ['--policy', 'encrypted'] },
      'The peer refused STARTTLS: it does not offer it, and when it was asked all the same, it said no.'
    ],
    [{ variant: 'default', theirs: 'self-signed' }, 'The certificate of the peer is not accepted: self-signed.'],
    [{ variant: 'nodialback', theirs: 'self-signed', options: ACCEPTING }, 'The peer ended the stream with an error: not-authorized.'],
    [
      { variant: 'default', ours: 'expired', options: ['--policy', 'strict'] },
      'SASL authentication was refused: EXTERNAL, not-authorized, certificate has expired.'
    ]
  ]
}

for (const kind of KINDS)
  describe(`what check says of a real ${kind}`, () => {
    before(function () {
      needs(kind, this)
    })

    // RENEW_GOLDEN=1 npm run test:interop writes the files anew; read the difference before it is committed.
    for (const [level, meeting] of Object.entries(GOLDEN))
      it(`is as in fixtures/golden/check-${level}.txt, where both end at ${level}`, async () => {
        const { code, stdout, stderr } = await check(kind, meeting)
        assert.deepEqual([code, stderr], [0, ''])
        const file = new URL(`../../fixtures/golden/check-${level}.txt`, import.meta.url)
        if (kind === 'prosody' && (process.env['RENEW_GOLDEN'] ?? '') !== '') writeFileSync(file, normalised(stdout))
        assert.equal(normalised(stdout), readFileSync(file, 'utf8'))
      })

    for (const [meeting, level] of WITH)
      it(`reaches ${level}, ${titleOf(meeting)}`, async () => {
        const { code, stdout } = await check(kind, meeting)
        assert.deepEqual([code, stdout.split('\n')[0]], [0, `${ENGINE} → ${DOMAIN[kind]}: ${level}`], stdout)
        const service =
          meeting.direct === true ? /SRV _xmpps-server\._tcp\.\S+ → \S+ \(direct TLS\)$/m : /SRV _xmpp-server\._tcp\.\S+ → \S+$/m
        assert.match(stdout, service)
      })

    for (const [meeting, last] of WITHOUT[kind])
      it(`names the cause, ${titleOf(meeting)}: ${last}`, async () => {
        const { code, stdout } = await check(kind, meeting)
        assert.equal(code, 1)
        assert.equal(undated(stdout.trimEnd()).split('\n').at(-1), `  There is no link. ${last}`, stdout)
        assert.equal(stdout.split('\n')[0], `${ENGINE} → ${DOMAIN[kind]}: none`)
      })
  })

function titleOf({ variant, theirs = 'valid', ours = 'valid', direct = false, options = [] }: Meeting): string {
  return [
    variant + (direct ? ' by direct TLS' : ''),
    `${theirs} there`,
    `${ours} here`,
    ...(options.length === 0 ? [] : [options.join(' ')])
  ].join(', ')
}

function undated(text: string): string {
  return text.replace(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/gu, 'DATE')
}

async function check(kind: ServerKind, { variant, theirs = 'valid', ours = 'valid', direct = false, options = [] }: Meeting): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'check-'))
  const lab = await openLab(kind, { variant, credentials: authority => authority.issue(DOMAIN[kind], { state: theirs }) })
  try {
    lab.publish(ENGINE, { address: lab.address, port: PORT })
    if (direct) {
      lab.dns.zone.remove(`_xmpp-server._tcp.${lab.theirs}`)
      lab.dns.zone.srv(`_xmpps-server._tcp.${lab.theirs}`, [{ target: `host.${lab.theirs}`, port: lab.server.directPort }])
    }
    const where = ['--resolver', `${lab.dns.address}:${lab.dns.port}`, '--listen', `${lab.address}:${PORT}`, '--allow-private']
    return await runHere('check', lab.theirs, '--from', ENGINE, ...where, ...shown(lab, ours, folder), ...options)
  } finally {
    await lab.close()
    rmSync(folder, { recursive: true })
  }
}

function shown({ authority }: Lab, state: CertificateState, folder: string): readonly string[] {
  const written = (name: string, pem: string | Buffer): string => {
    writeFileSync(join(folder, name), pem)
    return join(folder, name)
  }
  const trusted = ['--ca', written('ca.pem', authority.certificate)]
  if (state === 'missing') return trusted
  const { cert, key } = authority.issue(ENGINE, { state })
  return [...trusted, '--cert', written('c.pem', cert), '--key', written('k.pem', key)]
}

/** Without what changes from run to run and from server to server: addresses, ports, names and durations. */
function normalised(text: string): string {
  return text
    .replace(/127(?:\.\d+){3}:\d+/gu, 'ADDRESS:PORT')
    .replace(/:\d+\b/gu, ':PORT')
    .replaceAll(/prosody|ejabberd/gu, 'SERVER')
    .replace(/\bin \d+ ms\b/gu, 'in N ms')
}
