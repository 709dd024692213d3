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
})
