import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CertificateState, SecurityLevel } from '../../lib/index.ts'
import type { Run } from '../cli/process.ts'
import { runHere } from '../cli/run-here.ts'
import { ENGINE, openLab, PROSODY, type Lab } from './lab.ts'
import { needsProsody, type ProsodyVariant } from './prosody.ts'

type Shown = Exclude<CertificateState, 'missing'>

/** What `check` meets, with which options. */
interface Meeting {
  readonly variant: ProsodyVariant
  readonly theirs?: Shown
  readonly ours?: Shown
  readonly options?: readonly string[]
}

const GOLDEN: Readonly<Record<Exclude<SecurityLevel, 'sasl-plain'>, Meeting>> = {
  'sasl-external': { variant: 'strict' },
  'tls-dialback': { variant: 'default', theirs: 'self-signed', options: ['--option', 'acceptSelfSigned=true'] },
  'plain-dialback': { variant: 'plain' }
}

const REQUIRED_BY_US = 'The peer refused STARTTLS: it does not offer it, and when it was asked all the same, it ended the stream with'

/** Meetings without a link, each with the sentence that has to come last. */
const WITHOUT: readonly (readonly [meeting: Meeting, last: string])[] = [
  [
    { variant: 'strict', ours: 'self-signed' },
    "The peer refused our certificate: not-authorized, Your server's certificate is not trusted."
  ],
  [{ variant: 'strict', ours: 'expired' }, "The peer refused our certificate: not-authorized, Your server's certificate has expired."],
  [
    { variant: 'nodialback', ours: 'self-signed' },
    "The peer refused our certificate: not-authorized, Your server's certificate is not trusted."
  ],
  [
    { variant: 'nodialback', theirs: 'self-signed', options: ['--option', 'acceptSelfSigned=true'] },
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
      'not SASL EXTERNAL (the peer does not offer it, and our own certificate does not verify), not dialback (policy does not want it).'
  ]
]

describe('what check says of a real Prosody', () => {
  before(function () {
    needsProsody(this)
  })

  // RENEW_GOLDEN=1 npm run test:interop writes the files anew; read the difference before it is committed.
  for (const [level, meeting] of Object.entries(GOLDEN))
    it(`is as in fixtures/golden/check-${level}.txt, where both end at ${level}`, async () => {
      const { code, stdout, stderr } = await check(meeting)
      assert.deepEqual([code, stderr], [0, ''])
      const file = new URL(`../../fixtures/golden/check-${level}.txt`, import.meta.url)
      if ((process.env['RENEW_GOLDEN'] ?? '') !== '') writeFileSync(file, normalised(stdout))
      assert.equal(normalised(stdout), readFileSync(file, 'utf8'))
    })

  for (const [meeting, last] of WITHOUT)
    it(`names the cause, ${titleOf(meeting)}: ${last}`, async () => {
      const { code, stdout } = await check(meeting)
      assert.equal(code, 1)
      assert.equal(stdout.trimEnd().split('\n').at(-1), `  There is no link. ${last}`, stdout)
      assert.equal(stdout.split('\n')[0], `${ENGINE} → ${PROSODY}: none`)
    })
})

function titleOf({ variant, theirs = 'valid', ours = 'valid', options = [] }: Meeting): string {
  return [variant, `${theirs} there`, `${ours} here`, ...(options.length === 0 ? [] : [options.join(' ')])].join(', ')
}

async function check({ variant, theirs = 'valid', ours = 'valid', options = [] }: Meeting): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'check-'))
  const lab = await openLab(variant, authority => authority.issue(PROSODY, { state: theirs }))
  try {
    const port = await freePort()
    lab.publish(ENGINE, port)
    const where = ['--resolver', `${lab.dns.address}:${lab.dns.port}`, '--listen', `127.0.0.1:${port}`, '--allow-private']
    return await runHere('check', PROSODY, '--from', ENGINE, ...where, ...shown(lab, ours, folder), ...options)
  } finally {
    await lab.close()
    rmSync(folder, { recursive: true })
  }
}

function shown({ authority }: Lab, state: Shown, folder: string): readonly string[] {
  const { cert, key } = authority.issue(ENGINE, { state })
  const written = (name: string, pem: string | Buffer): string => {
    writeFileSync(join(folder, name), pem)
    return join(folder, name)
  }
  return ['--ca', written('ca.pem', authority.certificate), '--cert', written('c.pem', cert), '--key', written('k.pem', key)]
}

/** Without what changes from run to run: ports and durations. */
function normalised(text: string): string {
  return text.replace(/:\d+\b/gu, ':PORT').replace(/\bin \d+ ms\b/gu, 'in N ms')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const at = server.address()
      server.close(() => {
        resolve(typeof at === 'object' && at !== null ? at.port : 0)
      })
    })
  })
}
