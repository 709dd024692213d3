import assert from 'node:assert/strict'
import { createElement } from 'ltx'
import { FederationError } from '../../lib/index.ts'
import { Heard } from './heard.ts'
import { ENGINE, suiteProsodyLab, type Engine } from './lab.ts'
import { DOMAIN } from './server.ts'

const PROSODY = DOMAIN.prosody

const MESSAGES = 20_000
/** As many of ours are under way at once. */
const WINDOW = 200
/** As many of theirs are sent in one turn of Prosody (modules/mod_ledger.lua). */
const TURN = 50
/** What Prosody and the kernel may hold of theirs when it is killed: a turn begins every 5 ms, and this engine may be late by as many. */
const TURNS_HELD = 10

/** A third of the messages each way, and whether Prosody is killed in the middle of it. */
interface Phase {
  readonly first: number
  readonly last: number
  readonly isKilled: boolean
}
const PHASES: readonly Phase[] = [
  { first: 1, last: 6_666, isKilled: true },
  { first: 6_667, last: 13_333, isKilled: true },
  { first: 13_334, last: MESSAGES, isKilled: false }
]

const KILLS = PHASES.filter(phase => phase.isKilled).length

describe('twenty thousand messages each way, with a Prosody that is killed twice', () => {
  let engine: Engine
  const received: string[] = []
  const heard = new Heard()
  const lab = suiteProsodyLab({ variant: 'default', verbose: false }, async opened => {
    engine = await opened.engine({
      bidi: true,
      // A Prosody that has just been killed is dialled again at once.
      random: () => 0,
      hear: ({ id = '', type }) => {
        if (type !== 'error') received.push(id)
        heard.tell()
      }
    })
  })

  const message = (id: string, text: string) => createElement('message', { from: ENGINE, to: PROSODY, id }, createElement('body', {}, text))
  const end = (sent: Promise<string>): Promise<string> => sent.catch((error: unknown) => FederationError.from(error).code)

  /** Ours, a window at a time; `half` is called in the middle, with a window of them under way. */
  async function send({ first, last }: Phase, half: () => Promise<void>): Promise<readonly (readonly [id: string, end: string])[]> {
    const ends: (readonly [string, string])[] = []
    const underWay = new Set<Promise<void>>()
    for (let number = first; number <= last; number += 1) {
      const id = `e${number}`
      const sent = end(engine.federation.send(message(id, `number ${number}`))).then(how => {
        ends.push([id, how])
        underWay.delete(sent)
      })
      underWay.add(sent)
      if (number === Math.round((first + last) / 2)) await half()
      if (underWay.size >= WINDOW) await Promise.race(underWay)
    }
    await Promise.all(underWay)
    return ends
  }

  /** Has Prosody send some of its messages; resolves when the first hundred have come. */
  async function haveSent(first: number, last: number): Promise<void> {
    // While its stream is being opened, Prosody 0.12 sends what is new before what it has queued: it is opened first.
    const opened = received.filter(id => id === 'p0').length + 1
    await end(engine.federation.send(message(`open${first}`, `send 0 0 ${ENGINE}`)))
    await heard.until(() => received.filter(id => id === 'p0').length >= opened)
    const already = received.length
    assert.equal(await end(engine.federation.send(message(`go${first}`, `send ${first} ${last} ${ENGINE}`))), 'acknowledged')
    await heard.until(() => received.length >= already + Math.min(100, last - first + 1))
  }

  const theirLast = (): number =>
    Math.max(
      ...lab()
        .server.ledger()
        .map(([what, id]) => (what === 'sent' ? numberOf(id) : 0))
    )
  const ourLast = (): number => numberOf(received.findLast(id => id !== 'p0') ?? 'p0')

  it('accounts for each of them', async function () {
    this.timeout(180_000)
    const ends = new Map<string, string>()
    const lost: number[] = []
    for (const phase of PHASES) {
      const { first, last, isKilled } = phase
      await haveSent(first, last)
      for (const [id, how] of await send(phase, () => (isKilled ? lab().server.restart() : Promise.resolve()))) ends.set(id, how)
      if (isKilled) {
        for (let number = ourLast() + 1; number <= theirLast(); number += 1) lost.push(number)
        await haveSent(theirLast() + 1, last)
      }
      await heard.until(() => ourLast() >= last)
    }
    checkOurs(ends)
    checkTheirs(lost)
  })

  function checkOurs(ends: ReadonlyMap<string, string>): void {
    assert.equal(ends.size, MESSAGES, 'each send ended once')
    const got = lab()
      .server.ledger()
      .flatMap(([what, id]) => (what === 'got' && id.startsWith('e') ? [id] : []))
    const times = new Map<string, number>()
    for (const id of got) times.set(id, (times.get(id) ?? 0) + 1)
    assert.deepEqual(
      got.map(numberOf),
      got.map(numberOf).sort((a, b) => a - b),
      'in order'
    )
    const counted: Record<string, number> = {}
    for (const [id, how] of ends) {
      const arrived = times.get(id) ?? 0
      counted[`${how}, arrived ${arrived}`] = (counted[`${how}, arrived ${arrived}`] ?? 0) + 1
      if (how === 'acknowledged') assert.equal(arrived, 1, `${id} was acknowledged`)
      else if (how === 'written' || how === 'S2S_IN_DOUBT') assert.ok(arrived <= 1, `${id} arrived ${arrived} times`)
      else assert.equal(arrived, 0, `${id} was rejected with ${how}`)
    }
    console.log('      ours:', counted)
    const acknowledged = counted['acknowledged, arrived 1'] ?? 0
    assert.ok(acknowledged >= MESSAGES - KILLS * WINDOW, `${MESSAGES - acknowledged} ended otherwise than those under way at a kill`)
    assert.deepEqual(
      Object.keys(counted).filter(how => how.startsWith('written')),
      [],
      'all streams are managed'
    )
  }

  /** What Prosody sent came once each, in order; what it still held when it was killed went with it, and nothing else. */
  function checkTheirs(lost: readonly number[]): void {
    const ledger = lab().server.ledger()
    const of = (which: string): readonly number[] => ledger.flatMap(([what, id]) => (what === which && id !== 'p0' ? [numberOf(id)] : []))
    const all = Array.from({ length: MESSAGES }, (_, index) => index + 1)
    assert.deepEqual(of('sent'), all)
    assert.deepEqual(of('bounced'), [])
    assert.deepEqual(
      received.filter(id => id !== 'p0').map(numberOf),
      all.filter(number => !lost.includes(number))
    )
    assert.ok(lost.length <= KILLS * TURNS_HELD * TURN, `${lost.length} were lost`)
    console.log('      theirs:', { came: MESSAGES - lost.length, 'lost with a Prosody that was killed': lost.length })
  }
})

function numberOf(id: string): number {
  return Number(id.slice(1))
}
