import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { bounce } from '../../lib/links/bounce.ts'
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

interface Ltx {
  readonly Element: unknown
  readonly parse: (xml: string) => Element
}

/** For import and for require. */
const BUILDS = ['src', 'lib'].map(build => new URL(`../../node_modules/ltx/${build}/ltx.js`, import.meta.url).href)

describe('what is given to send', () => {
  let world: World
  let a: Federation
  const received: string[] = []

  beforeEach(async () => {
    world = createWorld()
    received.length = 0
    await world.engine('b.example', { onStanza: ({ element }) => void received.push(element.getChildText('body') ?? '') })
    a = await world.engine('a.example')
  })
  afterEach(() => world.stop())

  it('may be an element of another copy of ltx, such as that of its other build; it bounces as well', async () => {
    const builds = (await Promise.all(BUILDS.map(build => import(build)))) as readonly Ltx[]
    const other = builds.find(build => build.Element !== Element) ?? assert.fail('both builds are this one')
    const foreign = other.parse("<message from='a@a.example' to='b@b.example' id='1'><body>hi</body></message>")
    await world.run(a.send(foreign))
    await world.clock.settle()
    assert.deepEqual(received, ['hi'])
    assert.equal(bounce(foreign, new FederationError('S2S_DNS_NO_SERVICE'))?.attrs['to'], 'a@a.example')
  })
})
