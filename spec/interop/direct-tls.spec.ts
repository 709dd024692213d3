import assert from 'node:assert/strict'
import { domain, policies, type CertificateState, type SocketAddress } from '../../lib/index.ts'
import { suiteLab, type Engine, type Lab } from './lab.ts'
import { DOMAIN, KINDS, type Levels } from './server.ts'

type State = Extract<CertificateState, 'valid' | 'self-signed' | 'expired'>

const STATES: readonly State[] = ['valid', 'self-signed', 'expired']

/** What we show, what they show, and where both ends end: as over STARTTLS. */
const MEETINGS: readonly (readonly [ours: State, theirs: State, levels: Required<Levels>])[] = [
  ['valid', 'valid', { outgoing: 'sasl-external', incoming: 'sasl-external' }],
  ['self-signed', 'valid', { outgoing: 'tls-dialback', incoming: 'sasl-external' }],
  ['expired', 'valid', { outgoing: 'tls-dialback', incoming: 'sasl-external' }],
  ['valid', 'self-signed', { outgoing: 'tls-dialback', incoming: 'tls-dialback' }],
  ['valid', 'expired', { outgoing: 'tls-dialback', incoming: 'tls-dialback' }],
  ['self-signed', 'self-signed', { outgoing: 'tls-dialback', incoming: 'tls-dialback' }]
]

const domainIn = (state: State): string => `${state}.engine.test`

for (const kind of KINDS)
  for (const theirs of STATES)
    describe(`direct TLS alone, and ${kind}, which shows a certificate that is ${theirs}`, () => {
      let engine: Engine
      const lab = suiteLab(
        kind,
        {
          variant: 'default',
          credentials: authority => authority.issue(DOMAIN[kind], { state: theirs }),
          domains: STATES.map(domainIn)
        },
        async opened => {
          engine = await opened.engine({
            domains: Object.fromEntries(STATES.map(state => [domainIn(state), opened.authority.issue(domainIn(state), { state })])),
            policy: policies.ladder({ invalidCertificate: 'encrypt-only' })
          })
          publishDirect(opened, opened.theirs, { address: opened.server.address, port: opened.server.directPort })
          for (const state of STATES) publishDirect(opened, domainIn(state), engine.directAt)
        }
      )

      for (const [shown, , levels] of MEETINGS.filter(meeting => meeting[1] === theirs))
        it(`meets ours, which is ${shown}: ${levels.outgoing} there, ${levels.incoming} back, and pings cross`, async () => {
          const ours = domainIn(shown)
          const { report } = await engine.federation.connect({ sender: domain(ours), target: domain(lab().theirs) })
          assert.equal(report.endpoint?.tls, 'direct')
          assert.equal(await engine.pinged(ours), true)
          assert.equal(await engine.ping(ours), 'result')
          const links = engine.federation
            .links()
            .filter(({ pairs }) => pairs.some(({ pair }) => [pair.sender, pair.target].some(name => name === ours)))
          assert.deepEqual(Object.fromEntries(links.map(({ direction, level }) => [direction, level])), levels)
          for (const link of links)
            assert.ok(
              link.report.trace.every(({ step, facts }) => step !== 'open-stream' || facts.encrypted),
              'nothing was said in clear'
            )
          assert.deepEqual(await lab().server.levels(ours, lab().theirs, 0), levels, 'as the server itself has it')
        })
    })

/** The only record of a domain: TLS from the first byte. */
function publishDirect({ dns }: Lab, name: string, at: SocketAddress): void {
  dns.zone.remove(`_xmpp-server._tcp.${name}`)
  dns.zone.srv(`_xmpps-server._tcp.${name}`, [{ target: `host.${name}`, port: at.port }])
  dns.zone.addresses(`host.${name}`, [at.address])
}
