import assert from 'node:assert/strict'
import { domain, FederationError, policies, type Direction, type ErrorCode, type SecurityLevel } from '../../lib/index.ts'
import { credentialsThatShow, domainThatShows, SHOWN, type Shown } from './certificates.ts'
import { suiteLab, type Engine } from './lab.ts'
import { ENDS, TABLE, VARIANTS, type Variant } from './expected-levels.ts'
import { KINDS, type ServerKind } from './server.ts'

/** How a server says no, and what becomes of it. */
const REFUSAL: Readonly<Record<ServerKind, Partial<Record<Shown, Partial<Record<Variant, ErrorCode>>>>>> = {
  prosody: {
    // The usual one is before any feature. Of a key that it cannot ask about it says nothing.
    missing: { default: 'S2S_TIMEOUT' }
  },
  ejabberd: {
    // After <auth/>; there is no dialback to go on with.
    xmppaddr: { strict: 'S2S_STREAM_CLOSED' },
    allnames: { strict: 'S2S_STREAM_CLOSED' },
    // EXTERNAL was not tried: it ends the stream over a key, or cannot ask about it.
    missing: { strict: 'S2S_STREAM_ERROR_RECEIVED', default: 'S2S_DIALBACK_ERROR' }
  }
}
const USUAL_REFUSAL: Readonly<Record<ServerKind, ErrorCode>> = {
  prosody: 'S2S_CERTIFICATE_REFUSED',
  ejabberd: 'S2S_SASL_REFUSED'
}

/** Milliseconds that we wait for Prosody, which says nothing when it cannot ask. */
const PATIENCE = 5_000

const ALL = Object.keys(SHOWN) as Shown[]
/** What was seen, for the table at the end. */
const seen: Record<string, string[]> = {}

for (const kind of KINDS)
  for (const variant of VARIANTS)
    describe(`our certificates, and ${kind}, ${variant}`, () => {
      let engine: Engine
      const lab = suiteLab(kind, { variant, domains: ALL.map(domainThatShows) }, async ({ authority, ...opened }) => {
        engine = await opened.engine({
          domains: Object.fromEntries(ALL.map(shown => [domainThatShows(shown), credentialsThatShow(shown, authority)])),
          policy: policies.ladder({ invalidCertificate: 'encrypt-only' }),
          timeouts: { dialback: PATIENCE }
        })
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
          const refusal = REFUSAL[kind][shown]?.[variant] ?? USUAL_REFUSAL[kind]
          assert.equal(outcome, expected.startsWith('-') ? refusal : 'connected')
          if (!expected.startsWith('-') && came) assert.equal(await engine.ping(ours), 'result')
          const theirView = await lab().server.levels(ours, lab().theirs, 0)
          assert.equal(shortly(theirView), expected, 'as the server itself has it')
        })
      }
    })

after(() => {
  if (Object.keys(seen).length === 0) return
  console.log(
    `\n  Outgoing and incoming, by what we show (${Object.entries(ENDS)
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
    level === undefined ? '-' : level === 'sasl-plain' ? assert.fail('nobody uses PLAIN here') : ENDS[level]
  return end(levels.outgoing) + end(levels.incoming)
}
