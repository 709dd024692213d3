import assert from 'node:assert/strict'
import fc from 'fast-check'
import { pairKey } from '../../lib/model/domain.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import type { PairStatus } from '../../lib/model/report.ts'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, header, key, message, PROCEED, STARTTLS } from './scene.ts'
import type { Scene } from './scene.ts'

afterEach(endScenes)

const SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"

/** What a peer can say, well or badly; each piece is one write. */
const vocabulary: readonly string[] = [
  header(),
  header({ from: 'mercutio.example' }),
  header({ to: 'second.example' }),
  STARTTLS,
  auth('='),
  auth(''),
  auth('Y===', 'PLAIN'),
  `<response ${SASL}>=</response>`,
  `<abort ${SASL}/>`,
  `<success ${SASL}/>`,
  key(),
  key('K', 'mercutio.example'),
  key('K', 'capulet.example', 'second.example'),
  "<db:result from='montague.example' to='capulet.example' type='valid'/>",
  "<db:result from='capulet.example' to='montague.example' type='valid'/>",
  "<db:verify from='capulet.example' to='montague.example' id='x'>K</db:verify>",
  "<db:verify from='capulet.example' to='montague.example' id='x' type='valid'/>",
  message(),
  message('x@mercutio.example'),
  message('juliet@capulet.example', 'x@second.example'),
  message('x@montague.example', 'juliet@capulet.example'),
  ' ',
  '</stream:stream>'
]

/** How far it goes before it says what it likes. */
const openings: readonly (readonly string[])[] = [
  [header()],
  [header({ from: '' })],
  [header(), key()],
  [header(), STARTTLS, header()],
  [header(), STARTTLS, header(), key()],
  [header(), STARTTLS, header(), auth('=')],
  [header(), STARTTLS, header(), auth('='), header()]
]

/** What a peer may at most have proved: each pair whose key was confirmed, and inside TLS whatever its certificate covers. */
interface Shown {
  readonly confirmed: Set<string>
  secured: boolean
}

/** Says the words one by one, going into TLS where it is let, and answers about keys as told. */
async function converse(scene: Scene, words: readonly string[], answers: readonly boolean[]): Promise<Shown> {
  const shown: Shown = { confirmed: new Set(), secured: false }
  const caller = await scene.call()
  for (const [index, word] of words.entries()) {
    const heard = await caller.say(word)
    if (caller.ended !== 'no') break
    if (heard.endsWith(PROCEED)) {
      await caller.secure(certificate('capulet.example'))
      shown.secured = true
    }
    for (const asked of scene.asked.splice(0)) {
      if (answers[index] === true) shown.confirmed.add(pairKey(asked.request.pair))
      asked.answer({ answer: answers[index] === true ? 'valid' : 'invalid', verifiedOver: 'clear' })
    }
  }
  await caller.hear()
  return shown
}

function isShown({ pair }: PairStatus, { confirmed, secured }: Shown): boolean {
  return confirmed.has(pairKey(pair)) || (secured && pair.sender === 'capulet.example')
}

/** Sessions that are mutated, in up to nine places each. */
const SESSIONS = 5_000
/** Milliseconds of this process for one session. */
const HANG = 100

/** Bytes with some of them changed, dropped, doubled or moved. */
function mutated(bytes: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat(bytes.length - 1)
  const change = fc.oneof(
    fc.tuple(at, fc.nat(255)).map(
      ([place, byte]) =>
        (from: Buffer) =>
          splice(from, place, 1, Buffer.from([byte]))
    ),
    fc.tuple(at, fc.nat(40)).map(
      ([place, length]) =>
        (from: Buffer) =>
          splice(from, place, length)
    ),
    fc.tuple(at, at, fc.nat(200)).map(([place, source, length]) => (from: Buffer) => {
      return splice(from, place, 0, from.subarray(source, source + length))
    }),
    fc.tuple(at, fc.constantFrom(...TOKENS)).map(
      ([place, token]) =>
        (from: Buffer) =>
          splice(from, place, 0, Buffer.from(token, 'latin1'))
    )
  )
  return fc.array(change, { maxLength: 3 }).map(changes => changes.reduce((from, apply) => apply(from), bytes))
}

const TOKENS = [
  '<',
  '>',
  '&',
  "'",
  '/>',
  '<!',
  '<?',
  ']]>',
  '\0',
  '\xeb<',
  '\xed\xa0\x80',
  '\xc0\x80',
  "from='x@mercutio.example' ",
  '</message>'
]

function splice(from: Buffer, place: number, length: number, put: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([from.subarray(0, place), put, from.subarray(place + length)])
}

/** A connection on which this is said; keys of the one pair are good. Gives the milliseconds that this process was at work for it. */
async function exchange(scene: Scene, chunks: readonly Buffer[]): Promise<number> {
  const before = process.cpuUsage()
  const caller = await scene.call()
  for (const chunk of chunks) {
    await caller.say(chunk)
    for (const asked of scene.asked.splice(0)) {
      const { pair, key: shown } = asked.request
      const isGood = pairKey(pair) === 'capulet.example montague.example' && shown === 'KEY'
      asked.answer({ answer: isGood ? 'valid' : 'invalid', verifiedOver: 'clear' })
    }
  }
  caller.reset()
  await caller.hear()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

describe('incoming/hostile peers', () => {
  it('[SEC-PARSE-b] authenticates and delivers nothing but what was proved, whatever is said in whatever order', async function () {
    this.timeout(60_000)
    let delivered = 0
    const words = fc.array(fc.constantFrom(...vocabulary), { minLength: 1, maxLength: 12 })
    const said = fc.tuple(fc.constantFrom(...openings), words).map(([opening, rest]) => [...opening, ...rest])
    await fc.assert(
      fc.asyncProperty(said, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }), async (sequence, answers) => {
        const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
        const shown = await converse(scene, sequence, answers)
        const authenticated = scene.events.flatMap(([event, detail]) =>
          event === 'pair-authenticated' ? [(detail as FederationEvents['pair-authenticated']).pair] : []
        )
        for (const pair of authenticated) assert.ok(isShown(pair, shown), JSON.stringify(pair))
        for (const { stanza, pair } of scene.stanzas) {
          assert.ok(authenticated.includes(pair))
          assert.equal(pairKey({ sender: stanza.from.domain, target: stanza.to.domain }), pairKey(pair.pair))
        }
        assert.ok(scene.reports.length <= 1)
        delivered += scene.stanzas.length
        await endScenes()
      }),
      { numRuns: 300, endOnFailure: true }
    )
    assert.ok(delivered > 0, 'some get through, or this shows nothing')
  })

  it('[SEC-PARSE-b] reads whatever has become of the bytes of a session, quickly, and delivers of the one proved sender alone', async function () {
    this.timeout(60_000)
    const scene = await createScene({ limits: { incomingPerAddress: 1_000 } })
    const session = [header() + key(), message() + message('x@mercutio.example'), `${message('juliet@capulet.example')}</stream:stream>`]
    const said = fc.tuple(...session.map(words => mutated(Buffer.from(words))))
    let delivered = 0
    let ended = 0
    await fc.assert(
      fc.asyncProperty(said, async chunks => {
        // A collection of garbage is no hang, and does not come twice for the same bytes.
        if ((await exchange(scene, chunks)) >= HANG) assert.ok((await exchange(scene, chunks)) < HANG, 'it hangs')
        for (const { stanza, pair } of scene.stanzas) {
          assert.equal(stanza.from.domain, 'capulet.example')
          assert.deepEqual(pair.pair, { sender: 'capulet.example', target: stanza.to.domain })
        }
        delivered += scene.stanzas.splice(0).length
        ended += scene.reports.splice(0).length
        assert.doesNotMatch(JSON.stringify(scene.events.splice(0)), /S2S_INTERNAL/, 'the engine was at a loss')
      }),
      { numRuns: SESSIONS, endOnFailure: true }
    )
    assert.ok(delivered > 100 && ended > SESSIONS / 2, `${delivered} stanzas and ${ended} reports: some live, some die`)
  })
})
