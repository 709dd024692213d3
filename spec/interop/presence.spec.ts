import assert from 'node:assert/strict'
import { createElement } from 'ltx'
import type { Stanza } from '../../lib/index.ts'
import { Heard } from './heard.ts'
import { ENGINE, suiteEjabberdLab, type Engine } from './lab.ts'
import { DOMAIN } from './server.ts'

/** Its `mod_muc`: a room sends presence to everybody in it, its sender included (XEP-0045 §7.2). */
const ROOMS = `conference.${DOMAIN.ejabberd}`
const SEAT = `room@${ROOMS}/nick`
const SENDER = `user@${ENGINE}/desk`
const NS_ROOM = 'http://jabber.org/protocol/muc'

describe('presence that ejabberd is sent, and sends back', () => {
  const came: Stanza[] = []
  const heard = new Heard()
  let engine: Engine
  suiteEjabberdLab({ variant: 'default', credentials: authority => authority.issue(DOMAIN.ejabberd, { alsoFor: [ROOMS] }) }, async lab => {
    lab.publish(ROOMS, lab.server)
    engine = await lab.engine({
      hear: stanza => {
        came.push(stanza)
        heard.tell()
      }
    })
  })

  for (const type of [undefined, 'unavailable'])
    it(`${type ?? 'available'}: comes back as it went`, async () => {
      const attributes = { from: SENDER, to: SEAT, ...(type === undefined ? {} : { type }) }
      const note = createElement('x', { xmlns: 'urn:x', a: '<&>' }, 'é')
      const rest = type === undefined ? [createElement('x', { xmlns: NS_ROOM }), createElement('show', {}, 'away')] : []
      await engine.federation.send(createElement('presence', attributes, createElement('status', {}, 'out & about'), note, ...rest))
      const isIt = ({ name, from, type: itsType }: Stanza): boolean => name === 'presence' && from.text === SEAT && itsType === type
      await heard.until(() => came.some(isIt))
      const { element, to } = came.find(isIt) ?? assert.fail()
      assert.equal(to.text, SENDER)
      assert.equal(element.getChildText('status'), 'out & about')
      assert.equal(element.getChildText('show'), type === undefined ? 'away' : null)
      assert.deepEqual([element.getChild('x', 'urn:x')?.attrs['a'], element.getChildText('x', 'urn:x')], ['<&>', 'é'])
    })
})
