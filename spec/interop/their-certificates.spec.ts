import assert from 'node:assert/strict'
import { explain, policies, type CertificateState, type Policy, type Report } from '../../lib/index.ts'
import { ENGINE, suiteLab, type Lab } from './lab.ts'
import { KINDS, type Levels, type ServerKind } from './server.ts'

type Shown = Exclude<CertificateState, 'missing' | 'valid'>

/** How each is explained. */
const CLAUSES: Readonly<Partial<Record<Shown, string>>> = {
  'self-signed': 'self-signed',
  expired: 'expired on \\S+',
  'wrong-host': 'not valid for \\S+ \\(it names elsewhere\\.invalid, _xmpp-server\\.elsewhere\\.invalid\\)',
  'unknown-ca': 'issued by an authority that is not trusted here \\(CN=Unknown authority\\)'
}
/** Milliseconds that we wait for Prosody, which says nothing when it cannot ask. */
const CALL_BACK = 1_500
/** Of ours as well: each has lines of its own in the log, and ejabberd remembers for a while who has refused it. */
const REFUSING = 'refusing.engine.test'
const ABORTING = 'aborting.engine.test'
/** How its log has a stream that ended without an error. */
const ENDED: Readonly<Record<ServerKind, RegExp>> = {
  prosody: /: stream closed$/,
  ejabberd: /: Stream reset by peer; bouncing for \d+ seconds$/
}
const encryptOnly = policies.ladder({ invalidCertificate: 'encrypt-only' })

for (const kind of KINDS)
  for (const [theirs, clause] of Object.entries(CLAUSES) as [Shown, string][])
    describe(`${kind}, which shows a certificate that is ${theirs}`, () => {
      const lab = suiteLab(kind, {
        variant: 'default',
        credentials: authority => authority.issue(`${kind}.test`, { state: theirs }),
        domains: [ENGINE, REFUSING, ABORTING]
      })

      it('is met where the policy accepts it to encrypt with: dialback over TLS both ways, and pings cross', async () => {
        const levels = await met(lab(), encryptOnly)
        assert.deepEqual(levels.ours, { outgoing: 'tls-dialback', incoming: 'tls-dialback' })
        assert.deepEqual(levels.theirs, levels.ours, 'as the server itself has it')
      })

      it('is not met under the default policy; the reason is said, and nothing is tried in clear', async () => {
        const engine = await lab().engine()
        try {
          const report = await engine.federation.probe(engine.pair)
          assert.equal(report.level, undefined, explain(report))
          assert.equal(report.error?.code, 'S2S_CERTIFICATE')
          assert.match(report.error.message, new RegExp(`: ${clause}\\.$`))
          assert.ok(
            report.trace.some(({ step, facts }) => step === 'open-stream' && facts.features?.starttls === 'required'),
            'the peer said that it requires TLS'
          )
          assert.equal(report.trace.filter(({ step }) => step === 'connect').length, 1)
        } finally {
          await engine.stop()
        }
      })

      it('is refused when it comes to us, under the default policy: the stream just ends, as its own log has it, and it stays away', async () => {
        const { report, comings, said } = await comes(lab(), { ours: REFUSING, policy: policies.ladder() })
        assert.equal(report.level, undefined)
        assert.match(explain(report), new RegExp(`There is no link\\. The certificate of the peer is not accepted: ${clause}\\.`))
        assert.equal(comings, 1, 'it may come in clear, and does not')
        assert.match(said, ENDED[kind])
      })

      it('is refused when it comes to us, under a policy that aborts; its own log has our reason', async () => {
        const { report, comings, said } = await comes(lab(), { ours: ABORTING, policy: policies.ladder({ invalidCertificate: 'abort' }) })
        assert.deepEqual([report.level, report.error?.code, comings], [undefined, 'S2S_CERTIFICATE', 1])
        assert.match(said, /\bnot-authorized\b/)
        assert.match(said, new RegExp(`The certificate is not accepted: ${clause}`))
      })
    })

/**
 * A server that offers TLS calls back inside TLS to ask about a key, and shows the same certificate: whoever does not accept it cannot
 * be met by plain dialback either, for no server that is known comes back in clear.
 */
for (const kind of KINDS)
  for (const theirs of Object.keys(CLAUSES) as Shown[])
    describe(`${kind}, which requires no TLS and shows a certificate that is ${theirs}`, () => {
      const lab = suiteLab(kind, { variant: 'optional', credentials: authority => authority.issue(`${kind}.test`, { state: theirs }) })

      it('is not met under the default policy: its call back is refused, and the certificate is named as the reason', async () => {
        const engine = await lab().engine({ timeouts: { dialback: CALL_BACK } })
        try {
          const calls: (string | undefined)[] = []
          engine.federation.on('negotiation-ended', ({ report: { peer, error } }) => {
            if (peer.direction === 'incoming') calls.push(error?.code)
          })
          const { level, error, trace } = await engine.federation.probe(engine.pair)
          assert.deepEqual([level, error?.code], [undefined, 'S2S_CERTIFICATE'])
          assert.ok(
            trace.some(({ step, attempt }) => step === 'dialback' && attempt > 1),
            'it was tried in clear'
          )
          assert.ok(calls.length > 0 && calls.every(code => code === 'S2S_CERTIFICATE'), calls.join())
        } finally {
          await engine.stop()
        }
      })

      it('is met where the policy accepts it to encrypt with', async () => {
        assert.deepEqual((await met(lab(), encryptOnly)).ours, { outgoing: 'tls-dialback', incoming: 'tls-dialback' })
      })
    })

/** The server's stream to us, which its ping asks for: what became of it here, how often it came, and what its own log says of the end. */
async function comes(
  lab: Lab,
  { ours, policy }: { readonly ours: string; readonly policy: Policy }
): Promise<{ readonly report: Report; readonly comings: number; readonly said: string }> {
  const engine = await lab.engine({ policy, domains: { [ours]: lab.authority.issue(ours) } })
  try {
    const ended: Report[] = []
    engine.federation.on('negotiation-ended', ({ report }) => {
      if (report.peer.direction === 'incoming') ended.push(report)
    })
    assert.equal(await engine.pinged(), false)
    const [said] = await lab.server.logged(new RegExp(`s2s (?:connection|stream) ${lab.theirs} ?-> ?${ours}(?:: | closed: ).*`))
    return { report: ended[0] ?? assert.fail('it never came'), comings: ended.length, said }
  } finally {
    await engine.stop()
  }
}

/** One meeting with pings in both directions; how both sides call where it ended. */
async function met(lab: Lab, policy: Policy): Promise<{ readonly ours: Levels; readonly theirs: Levels }> {
  const after = lab.server.log().length
  const engine = await lab.engine({ policy })
  try {
    await engine.federation.connect(engine.pair)
    assert.equal(await engine.pinged(), true)
    assert.equal(await engine.ping(), 'result')
    const ours = Object.fromEntries(engine.federation.links().map(({ direction, level }) => [direction, level]))
    return { ours, theirs: await lab.server.levels(ENGINE, lab.theirs, after) }
  } finally {
    await engine.stop()
  }
}
