import assert from 'node:assert/strict'
import { domain, FederationError, policies, type Direction, type ErrorCode, type SecurityLevel } from '../../lib/index.ts'
import { credentialsThatShow, domainThatShows, SHOWN, type Shown } from './certificates.ts'
import { openLab, type Engine, type Lab } from './lab.ts'
import { KINDS, needs, type ServerKind, type ServerVariant } from './server.ts'

/** E: sasl-external. D: tls-dialback. P: plain-dialback. -: no link. Outgoing first, as we call it. */
type Ends = `${End}${End}`
type End = 'E' | 'D' | 'P' | '-'

type Row = Readonly<Record<Variant, Ends>> & { readonly why: string }
type Variant = Exclude<ServerVariant, 'nodialback'>

const VARIANTS: readonly Variant[] = ['strict', 'default', 'optional', 'plain']
const LEVELS: Readonly<Record<Exclude<SecurityLevel, 'sasl-plain'>, End>> = {
  'sasl-external': 'E',
  'tls-dialback': 'D',
  'plain-dialback': 'P'
}

const accepted = (why: string): Row => ({ strict: 'EE', default: 'EE', optional: 'EE', plain: 'PP', why })
/**
 * As client it is not believed, and dialback is the next step, where there is dialback. As server it is shown to somebody who has a
 * certificate to prove himself with; only where certificates must verify does he look at it.
 */
const refused = (why: string): Row => ({ strict: '--', default: 'DE', optional: 'DE', plain: 'PP', why })

const TABLE: Readonly<Record<ServerKind, Readonly<Record<Shown, Row>>>> = {
  prosody: {
    dnsname: accepted('The dNSName is the domain.'),
    srvname: accepted('The SRVName is the domain, behind _xmpp-server.'),
    xmppaddr: refused('It does not read XmppAddr between servers, and where there is any subjectAltName the common name does not count.'),
    allnames: accepted('One name that fits is enough.'),
    cn: accepted('It still believes a common name where there is no subjectAltName; we never do.'),
    wildcard: accepted('A wildcard stands for one label.'),
    intermediate: accepted('The chain that we send ends at the authority.'),
    serverauth: accepted('It does not ask for the purpose clientAuth.'),
    nopurpose: accepted('A certificate without purposes is for all of them.'),
    selfsigned: refused('Nobody that it trusts has issued it.'),
    expired: refused('It has ended.'),
    wronghost: refused('It is for another domain.'),
    unknownca: refused('Nobody that it trusts has issued it.')
  },
  ejabberd: {
    dnsname: accepted('The dNSName is the domain.'),
    srvname: accepted('The SRVName is the domain, behind _xmpp-server.'),
    xmppaddr: refused('Its stream process ends over an XmppAddr that is a bare domain: the stream closes after <auth/>.'),
    allnames: refused('The same: the other two names do not save it.'),
    cn: accepted('It still believes a common name where there is no subjectAltName; we never do.'),
    wildcard: accepted('A wildcard stands for one label.'),
    intermediate: accepted('The chain that we send ends at the authority.'),
    serverauth: {
      strict: '-E',
      default: 'DE',
      optional: 'DE',
      plain: 'PP',
      why: 'OpenSSL asks for the purpose clientAuth of a client; as server it is good.'
    },
    nopurpose: accepted('A certificate without purposes is for all of them.'),
    selfsigned: refused('Nobody that it trusts has issued it.'),
    expired: refused('It has ended.'),
    wronghost: refused('It is for another domain.'),
    unknownca: refused('Nobody that it trusts has issued it.')
  }
}

/** How a strict server says no, and what becomes of it. */
const REFUSAL: Readonly<Record<ServerKind, Partial<Record<Shown, ErrorCode>>>> = {
  // Before any feature.
  prosody: {},
  // After <auth/>; there is no dialback to go on with.
  ejabberd: { xmppaddr: 'S2S_STREAM_CLOSED', allnames: 'S2S_STREAM_CLOSED' }
}
const USUAL_REFUSAL: Readonly<Record<ServerKind, ErrorCode>> = {
  prosody: 'S2S_CERTIFICATE_REFUSED',
  ejabberd: 'S2S_SASL_REFUSED'
}

const ALL = Object.keys(SHOWN) as Shown[]
/** What was seen, for the table at the end. */
const seen: Record<string, string[]> = {}

for (const kind of KINDS)
  for (const variant of VARIANTS)
    describe(`our certificates, and ${kind}, ${variant}`, () => {
      let lab: Lab
      let engine: Engine

      before(async function () {
        needs(kind, this)
        lab = await openLab(kind, { variant, domains: ALL.map(domainThatShows) })
        engine = await lab.engine({
          domains: Object.fromEntries(ALL.map(shown => [domainThatShows(shown), credentialsThatShow(shown, lab.authority)])),
          policy: policies.ladder({ invalidCertificate: 'encrypt-only' })
        })
      })

      after(async () => {
        await engine.stop()
        await lab.close()
      })

      for (const shown of ALL) {
        const { [variant]: expected, why } = TABLE[kind][shown]
        it(`${shown}, ${SHOWN[shown]}: ${expected}. ${why}`, async () => {
          const ours = domainThatShows(shown)
          const outcome = await engine.federation.connect({ ...engine.pair, sender: domain(ours) }).then(
            () => 'connected',
            (error: unknown) => FederationError.from(error).code
          )
          const came = await engine.pinged(ours)
          const levels = endsOf(engine, ours)
          ;(seen[`${kind} ${shown}`] ??= []).push(levels)
          assert.equal(levels, expected)
          assert.equal(came, expected[1] !== '-')
          const refusal = REFUSAL[kind][shown] ?? USUAL_REFUSAL[kind]
          assert.equal(outcome, expected.startsWith('-') ? refusal : 'connected')
          if (!expected.startsWith('-') && came) assert.equal(await engine.ping(ours), 'result')
          const theirView = await lab.server.levels(ours, lab.theirs, 0)
          assert.equal(shortly(theirView), expected, 'as the server itself has it')
        })
      }
    })

after(() => {
  if (Object.keys(seen).length === 0) return
  console.log(
    `\n  Outgoing and incoming, by what we show (${Object.entries(LEVELS)
      .map(([level, end]) => `${end} ${level}`)
      .join(', ')}, - none)`
  )
  console.log(`  ${''.padEnd(24)}${VARIANTS.map(variant => variant.padEnd(10)).join('')}`)
  for (const [row, cells] of Object.entries(seen)) console.log(`  ${row.padEnd(24)}${cells.map(cell => cell.padEnd(10)).join('')}`)
})

function endsOf({ federation }: Engine, ours: string): string {
  const links = federation.links().filter(({ pairs }) => pairs.some(({ pair }) => pair.sender === ours || pair.target === ours))
  return shortly(Object.fromEntries(links.map(({ direction, level }) => [direction, level])))
}

function shortly(levels: Partial<Record<Direction, SecurityLevel>>): string {
  const end = (level: SecurityLevel | undefined): string =>
    level === undefined ? '-' : level === 'sasl-plain' ? assert.fail('nobody uses PLAIN here') : LEVELS[level]
  return end(levels.outgoing) + end(levels.incoming)
}
