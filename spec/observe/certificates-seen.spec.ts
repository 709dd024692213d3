import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { domain } from '../../lib/model/domain.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import type { Credentials } from '../../lib/model/plugs.ts'
import type { PairStatus } from '../../lib/model/report.ts'
import { CertificatesSeen } from '../../lib/observe/certificates-seen.ts'
import { pin } from '../../lib/policy/guards.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PAIR = pairOf('a.example', 'b.example')

describe('the certificate of a domain that has been met before', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(() => world.stop())

  const issue = (name: string, state: CertificateState = 'valid'): Credentials => {
    const credentials = world.authority.issue(name, { state, now: world.clock.now() })
    assert.ok(credentials)
    return credentials
  }
  const fingerprintOf = ({ cert }: Credentials): string => new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
  const keyOf = ({ cert }: Credentials): string =>
    createHash('sha256')
      .update(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex')
  const heard = (events: FederationEvents['certificate-changed'][]): readonly (readonly (string | undefined)[])[] =>
    events.map(({ link, pair, before }) => [
      link.direction,
      pair.pair.sender,
      pair.pair.target,
      before.fingerprint256,
      link.certificate?.fingerprint256
    ])

  for (const state of ['valid', 'self-signed'] as const)
    it(`[SEC-PIN-a] is told of when it has changed, once, by both sides, where it is ${state}; the link stands`, async () => {
      const certificates = [issue('b.example', state), issue('b.example', state)] as const
      const policy = policies.ladder({ acceptSelfSigned: true })
      const b = await world.engine('b.example', { domains: { 'b.example': certificates[0] }, policy })
      const a = await world.engine('a.example', { policy })
      const events: FederationEvents['certificate-changed'][] = []
      const back: FederationEvents['certificate-changed'][] = []
      a.on('certificate-changed', event => events.push(event))
      const both = async (): Promise<void> => {
        await world.run(a.connect(PAIR))
        await world.run(a.close('b.example'))
        await world.run(b.connect(pairOf('b.example', 'a.example')))
        await world.run(b.close('a.example'))
      }
      b.on('certificate-changed', event => back.push(event))
      await both()
      await both()
      assert.equal(events.length, 0)
      await b.addDomain('b.example', certificates[1])
      await both()
      await both()
      const [before, after] = certificates.map(fingerprintOf)
      assert.deepEqual(heard(events), [
        ['outgoing', 'a.example', 'b.example', before, after],
        ['incoming', 'b.example', 'a.example', before, after]
      ])
      assert.equal(events[0]?.before.spki256, keyOf(certificates[0]))
      assert.deepEqual(back, [])
    })

  it('[SEC-PIN-a] is not told of where it is refused: nobody has shown that the domain has changed it', async () => {
    const first = issue('b.example')
    const b = await world.engine('b.example', { domains: { 'b.example': first } })
    const a = await world.engine('a.example', { guards: [pin(['b.example'], [{ leaf256: fingerprintOf(first) }])] })
    a.on('certificate-changed', () => assert.fail('it was not authenticated'))
    await world.run(a.connect(PAIR))
    await world.run(a.close('b.example'))
    await b.addDomain('b.example', issue('b.example'))
    assert.equal((await world.run(a.probe(PAIR))).error?.code, 'S2S_CERTIFICATE')
  })

  const verdictOf = (fingerprint256: string): typeof MISSING_CERTIFICATE => ({
    ...MISSING_CERTIFICATE,
    fingerprint256,
    spki256: fingerprint256
  })
  const statusOf = (remote: string): PairStatus => ({
    pair: { sender: domain('a.example'), target: domain(remote) },
    flow: 'send',
    level: 'tls-dialback',
    peerIdentity: 'dns'
  })
  const meet = (seen: CertificatesSeen, fingerprint: string, remote = 'b.example'): string | undefined =>
    seen.meet({ direction: 'outgoing', certificate: verdictOf(fingerprint), pairs: [statusOf(remote)] }, statusOf(remote))?.fingerprint256

  it('is one of several that its servers have: no event when they take turns', () => {
    const seen = new CertificatesSeen()
    assert.deepEqual(
      ['one', 'two', 'three', 'one', 'two', 'three'].map(each => meet(seen, each)),
      [undefined, 'one', 'two', undefined, undefined, undefined]
    )
  })

  it('is forgotten after eight others', () => {
    const seen = new CertificatesSeen()
    for (let number = 0; number < 9; number += 1) meet(seen, `number ${number}`)
    assert.equal(meet(seen, 'number 1'), undefined)
    assert.equal(meet(seen, 'number 0'), 'number 8')
  })

  it('is remembered of so many domains at most, and those that are known stay', () => {
    const seen = new CertificatesSeen(2)
    for (const name of ['b.example', 'c.example', 'd.example']) meet(seen, 'first', name)
    assert.deepEqual(
      ['b.example', 'c.example', 'd.example'].map(name => meet(seen, 'second', name)),
      ['first', 'first', undefined]
    )
  })

  it('speaks of the domain that the link was made for, and a connection without one of nobody', () => {
    const seen = new CertificatesSeen()
    const [first, further] = [statusOf('b.example'), statusOf('c.example')]
    const on = (fingerprint: string): Parameters<CertificatesSeen['meet']>[0] => ({
      direction: 'outgoing',
      certificate: verdictOf(fingerprint),
      pairs: [first, further]
    })
    for (const fingerprint of ['one', 'two']) assert.equal(seen.meet(on(fingerprint), further), undefined)
    seen.meet(on('one'), first)
    assert.equal(seen.meet({ ...on('none'), certificate: MISSING_CERTIFICATE }, first), undefined)
    assert.equal(seen.meet({ direction: 'outgoing', pairs: [first] }, first), undefined)
    assert.equal(seen.meet({ ...on('two'), direction: 'incoming' }, first), undefined, 'client certificates are others')
    assert.equal(seen.meet(on('two'), first)?.fingerprint256, 'one')
  })
})
