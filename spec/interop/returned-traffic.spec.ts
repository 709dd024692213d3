import assert from 'node:assert/strict'
import { createElement, type Element } from 'ltx'
import { FederationError } from '../../lib/index.ts'
import { Heard } from './heard.ts'
import { ENGINE, suiteLab, type Engine } from './lab.ts'
import { DOMAIN } from './server.ts'

const MESSAGES = 20_000
/** As many are under way at once. */
const WINDOW = 200
/** In the middle of it, with a window of messages under way. */
const KILLED_AT = MESSAGES / 2

const message = (number: number): Element =>
  createElement(
    'message',
    { from: ENGINE, to: `nobody@${DOMAIN.ejabberd}`, id: `m${number}` },
    createElement('body', {}, `number ${number}`)
  )

// It has nobody to take them, and returns each with an error: what has come back has arrived, once for each time.
describe('twenty thousand messages to an ejabberd that returns them, and is killed in between', () => {
  let engine: Engine
  const returned: number[] = []
  const heard = new Heard()
  const lab = suiteLab('ejabberd', { variant: 'default' }, async opened => {
    engine = await opened.engine({
      // An ejabberd that has just been killed is dialled again at once.
      random: () => 0,
      hear: ({ id = '', type }) => {
        if (type === 'error') returned.push(Number(id.slice(1)))
        heard.tell()
      }
    })
  })

  /** How each ended, in order. It acknowledges nothing, so what may be under way is counted by what has come back. */
  async function sendAll(): Promise<readonly string[]> {
    const ends: Promise<string>[] = []
    let base = { sent: 0, returned: 0 }
    for (let number = 0; number < MESSAGES; number += 1) {
      ends.push(engine.federation.send(message(number)).catch((error: unknown) => FederationError.from(error).code))
      if (number === KILLED_AT) {
        await lab().server.restart()
        base = { sent: number, returned: returned.length }
      }
      const { sent, returned: before } = base
      if (number - sent - (returned.length - before) >= WINDOW)
        await heard.until(() => number - sent - (returned.length - before) < WINDOW / 2)
    }
    return await Promise.all(ends)
  }

  it('accounts for each of them, in order', async function () {
    this.timeout(180_000)
    const ends = await sendAll()
    assert.equal(ends.length, MESSAGES)
    const last = ends.lastIndexOf('written')
    await heard.until(() => returned.includes(last))
    assert.deepEqual(
      returned,
      [...new Set(returned)].sort((one, other) => one - other),
      'each once, and in order'
    )
    const counted: Record<string, number> = {}
    ends.forEach((end, number) => {
      const key = `${end}, ${returned.includes(number) ? 'came back' : 'did not come back'}`
      counted[key] = (counted[key] ?? 0) + 1
      if (end !== 'written' && end !== 'S2S_IN_DOUBT') assert.ok(!returned.includes(number), `m${number} ended with ${end} and arrived`)
      // It acknowledges nothing: what is lost with it was written shortly before.
      else if (!returned.includes(number)) assert.ok(Math.abs(number - KILLED_AT) <= WINDOW, `m${number} is lost`)
    })
    console.log('     ', counted)
    assert.ok((counted['written, came back'] ?? 0) > MESSAGES - 2 * WINDOW)
  })
})
