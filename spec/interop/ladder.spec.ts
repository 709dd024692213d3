import assert from 'node:assert/strict'
import { explain, policies, type CertificateState, type Direction, type Policy, type Report, type SecurityLevel } from '../../lib/index.ts'
import { ENGINE, openLab, PROSODY, type Engine, type Lab } from './lab.ts'
import { needsProsody, type ProsodyVariant } from './prosody.ts'

type Shown = Exclude<CertificateState, 'missing'>
type Levels = Readonly<Record<Direction, SecurityLevel>>

/** One meeting: what each side shows, under which policy, and where both directions end. */
interface Meeting {
  readonly ours: Shown
  readonly policy?: Policy
  readonly levels: Levels
}

interface Peer {
  readonly variant: ProsodyVariant
  readonly theirs: Shown
  readonly meetings: readonly Meeting[]
}

const encryptOnly = policies.ladder({ invalidCertificate: 'encrypt-only' })
const both = (level: SecurityLevel): Levels => ({ outgoing: level, incoming: level })

const PEERS: readonly Peer[] = [
  { variant: 'strict', theirs: 'valid', meetings: [{ ours: 'valid', levels: both('sasl-external') }] },
  {
    variant: 'nodialback',
    theirs: 'valid',
    meetings: [{ ours: 'server-auth-only', policy: policies.strict(), levels: both('sasl-external') }]
  },
  {
    variant: 'default',
    theirs: 'valid',
    meetings: [
      { ours: 'valid', levels: both('sasl-external') },
      // Prosody uses EXTERNAL when we offer it, whatever it thinks of our own certificate.
      { ours: 'self-signed', policy: encryptOnly, levels: { outgoing: 'tls-dialback', incoming: 'sasl-external' } },
      { ours: 'expired', policy: encryptOnly, levels: { outgoing: 'tls-dialback', incoming: 'sasl-external' } }
    ]
  },
  { variant: 'default', theirs: 'self-signed', meetings: meetingsOver('self-signed') },
  { variant: 'default', theirs: 'expired', meetings: meetingsOver('expired') },
  {
    variant: 'plain',
    theirs: 'valid',
    meetings: [
      { ours: 'valid', levels: both('plain-dialback') },
      { ours: 'self-signed', policy: encryptOnly, levels: both('plain-dialback') }
    ]
  }
]

/** A peer whose certificate does not verify: encryption, and dialback over it. */
function meetingsOver(ours: Shown): readonly Meeting[] {
  return [
    { ours: 'valid', policy: encryptOnly, levels: both('tls-dialback') },
    { ours, policy: encryptOnly, levels: both('tls-dialback') }
  ]
}

for (const { variant, theirs, meetings } of PEERS) {
  describe(`Prosody, ${variant}, ${theirs} certificate`, () => {
    let lab: Lab | undefined

    before(async function () {
      needsProsody(this)
      lab = await openLab(variant, authority => authority.issue(PROSODY, { state: theirs }))
    })

    after(() => lab?.close())

    for (const { ours, policy, levels } of meetings) {
      it(`meets our ${ours} certificate at ${levels.outgoing} outgoing and ${levels.incoming} incoming, and pings cross`, async () => {
        assert.ok(lab)
        const seen = lab.prosody.log().length
        const engine = await lab.engine({
          credentials: lab.authority.issue(ENGINE, { state: ours }),
          ...(policy === undefined ? {} : { policy })
        })
        try {
          const link = await engine.federation.connect(engine.pair)
          assert.equal(link.level, levels.outgoing, explain(link.report))
          assert.equal(await engine.ping(), 'result')
          assert.match(await lab.prosody.shell(`xmpp:ping("${PROSODY}", "${ENGINE}")`), /pong from engine\.test/)
          assert.deepEqual(levelsOf(engine), levels)
          assert.deepEqual(confirmed(await lab.prosody.shell(`s2s:show("${ENGINE}")`), lab.prosody.log().slice(seen)), levels)
        } finally {
          await engine.stop()
        }
      })
    }
  })
}

describe('Prosody that requires what cannot be had', () => {
  const refusals: readonly { readonly variant: ProsodyVariant; readonly theirs: Shown; readonly ours: Shown; readonly because: RegExp }[] =
    [
      { variant: 'default', theirs: 'self-signed', ours: 'valid', because: /S2S_CERTIFICATE .*self-signed/ },
      { variant: 'default', theirs: 'expired', ours: 'valid', because: /S2S_CERTIFICATE .*expired/ },
      { variant: 'strict', theirs: 'valid', ours: 'self-signed', because: /S2S_CERTIFICATE_REFUSED/ },
      { variant: 'strict', theirs: 'valid', ours: 'expired', because: /S2S_CERTIFICATE_REFUSED/ }
    ]

  for (const { variant, theirs, ours, because } of refusals) {
    it(`ends without a link under the default policy: ${variant}, ${theirs} there, ${ours} here; and says why`, async function () {
      needsProsody(this)
      const lab = await openLab(variant, authority => authority.issue(PROSODY, { state: theirs }))
      const engine = await lab.engine({ credentials: lab.authority.issue(ENGINE, { state: ours }) })
      try {
        const report = await engine.federation.probe(engine.pair)
        assert.equal(report.level, undefined, explain(report))
        assert.match(`${report.error?.code ?? ''} ${report.error?.message ?? ''}`, because)
        assert.ok(
          report.trace.some(({ step, facts }) => step === 'open-stream' && facts.features?.starttls === 'required'),
          'the peer said that it requires TLS'
        )
        assert.equal(report.trace.filter(({ step }) => step === 'connect').length, 1, 'and so nothing was tried in clear')
      } finally {
        await engine.stop()
        await lab.close()
      }
    })
  }

  it('is told so when it comes to us with a certificate that the default policy does not accept, and stays away', async function () {
    needsProsody(this)
    const lab = await openLab('default', authority => authority.issue(PROSODY, { state: 'self-signed' }))
    const engine = await lab.engine()
    try {
      const ended = new Promise<Report>(resolve => {
        engine.federation.on('negotiation-ended', ({ report }) => {
          resolve(report)
        })
      })
      assert.doesNotMatch(await lab.prosody.shell(`xmpp:ping("${PROSODY}", "${ENGINE}", 5)`), /pong/)
      const report = await ended
      assert.deepEqual([report.peer.direction, report.level], ['incoming', undefined])
      assert.match(explain(report), /There is no link\. The certificate of the peer is not accepted: self-signed\./)
      assert.match(lab.prosody.log(), /Outgoing s2s stream prosody\.test->engine\.test closed/)
    } finally {
      await engine.stop()
      await lab.close()
    }
  })

  it('is found by its record for direct TLS, and met there', async function () {
    needsProsody(this)
    const lab = await openLab('default')
    const engine = await lab.engine()
    try {
      lab.dns.zone.remove(`_xmpp-server._tcp.${PROSODY}`)
      lab.dns.zone.srv(`_xmpps-server._tcp.${PROSODY}`, [{ target: `host.${PROSODY}`, port: lab.prosody.directPort }])
      const link = await engine.federation.connect(engine.pair)
      assert.deepEqual([link.report.endpoint?.tls, link.level], ['direct', 'sasl-external'], explain(link.report))
      assert.equal(await engine.ping(), 'result')
    } finally {
      await engine.stop()
      await lab.close()
    }
  })
})

function levelsOf(engine: Engine): Partial<Record<Direction, SecurityLevel>> {
  return Object.fromEntries(engine.federation.links().map(({ direction, level }) => [direction, level]))
}

/** The same, as Prosody has it: its streams in the shell, and what its log says of EXTERNAL and of finished dialback. Its incoming is our outgoing. */
function confirmed(shown: string, log: string): Partial<Record<Direction, SecurityLevel>> {
  const streams = shown.split('\n').flatMap(line => {
    const cells = line.split('|').map(cell => cell.trim())
    const [id = '', , direction, , , security = '', sasl] = cells
    if (!/^s2s(in|out)[0-9a-f]+$/.test(id)) return []
    return [
      {
        direction: direction === '<--' ? 'outgoing' : 'incoming',
        encrypted: security.startsWith('TLS'),
        external: sasl === 'Succeeded'
      } as const
    ]
  })
  return Object.fromEntries(
    streams.map(({ direction, encrypted, external }) => {
      const [from, to] = direction === 'outgoing' ? [ENGINE, PROSODY] : [PROSODY, ENGINE]
      assert.match(log, new RegExp(`s2s connection ${from}->${to} complete`))
      if (external) return [direction, 'sasl-external']
      return [direction, encrypted ? 'tls-dialback' : 'plain-dialback']
    })
  )
}
