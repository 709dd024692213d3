import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { domain } from '../../lib/model/domain.ts'
import { dialbackKey, isDialbackKey, trimKey } from '../../lib/rules/dialback-key.ts'

const pairOf = (sender: string, target: string) => ({ sender: domain(sender), target: domain(target) })

describe('rules/dialback-key', () => {
  const vectors = [
    [
      's3cr3tf0rd14lb4ck',
      'xmpp.example.com',
      'example.org',
      'D60000229F',
      '37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643'
    ],
    [
      's3cr3tf0rd14lb4ck',
      'montague.example',
      'capulet.example',
      'D60000229F',
      'b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3'
    ],
    ['d14lb4ck43v3r', 'capulet.example', 'montague.example', '417GAF25', '225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d']
  ] as const
  for (const [secret, receiving, originating, streamId, key] of vectors) {
    it(`[XEP0185-3-a] makes the published key for ${originating} → ${receiving} on ${streamId}`, () => {
      const about = { pair: pairOf(originating, receiving), streamId }
      assert.equal(dialbackKey(secret, about), key)
      assert.equal(dialbackKey(Buffer.from(secret), about), key)
      assert.ok(isDialbackKey(key, [secret], about))
    })
  }

  it('[XEP0185-3-a] makes one key for a domain however it was spelt: A-labels, capitals, a trailing dot', () => {
    const key = dialbackKey('s', { pair: pairOf('a.example', 'bücher.example'), streamId: 'x' })
    assert.equal(dialbackKey('s', { pair: pairOf('A.example.', 'XN--bcher-KVA.example'), streamId: 'x' }), key)
  })

  it('binds the key to both domains and the id, apart from one another (CVE-2016-0756)', () => {
    const about = { pair: pairOf('a.example', 'b.example'), streamId: 'id' }
    const key = dialbackKey('s', about)
    assert.ok(!isDialbackKey(key, ['s'], { pair: pairOf('b.example', 'a.example'), streamId: 'id' }))
    assert.ok(!isDialbackKey(key, ['s'], { pair: about.pair, streamId: 'ID' }))
    assert.ok(!isDialbackKey(key, ['t'], about))
    const joined = dialbackKey('s', { pair: pairOf('a.example', 'b.example'), streamId: 'c' })
    assert.notEqual(joined, dialbackKey('s', { pair: pairOf('ba.example', 'example'), streamId: 'c' }))
  })

  it('[ENG-DB-c] accepts a key with white space around it, and none within', () => {
    const about = { pair: pairOf('a.example', 'b.example'), streamId: 'id' }
    const key = dialbackKey('s', about)
    assert.ok(isDialbackKey(`\r\n\t ${key}\n`, ['s'], about))
    assert.ok(!isDialbackKey(`${key.slice(0, 8)} ${key.slice(8)}`, ['s'], about))
    assert.equal(trimKey('\n abc \t'), 'abc')
  })

  it('[ENG-DB-c] compares digests of one length: keys of any other length are merely wrong', () => {
    const about = { pair: pairOf('a.example', 'b.example'), streamId: 'id' }
    for (const key of ['', 'a', dialbackKey('s', about).slice(1), 'f'.repeat(1000)]) assert.ok(!isDialbackKey(key, ['s'], about))
  })

  describe('the comparison', () => {
    const { timingSafeEqual } = crypto
    const compared: number[] = []
    const observe = (answer: (isEqual: boolean) => boolean): void => {
      crypto.timingSafeEqual = (one, other) => {
        compared.push(one.byteLength, other.byteLength)
        return answer(timingSafeEqual(one, other))
      }
      syncBuiltinESMExports()
    }
    afterEach(() => {
      compared.length = 0
      crypto.timingSafeEqual = timingSafeEqual
      syncBuiltinESMExports()
    })

    const about = { pair: pairOf('a.example', 'b.example'), streamId: 'id' }
    const secrets = ['first', 'second', 'third']

    it('[ENG-DB-c] takes the same time whatever the key is: Node compares its digest with that of every secret, found or not', () => {
      observe(isEqual => isEqual)
      for (const key of ['', 'wrong', dialbackKey('first', about), dialbackKey('third', about)]) {
        compared.length = 0
        assert.equal(isDialbackKey(key, secrets, about), key.length === 64)
        assert.deepEqual(compared, [32, 32, 32, 32, 32, 32], key)
      }
    })

    it('[ENG-DB-c] has no second opinion beside it', () => {
      observe(() => false)
      assert.equal(isDialbackKey(dialbackKey('first', about), secrets, about), false)
      observe(() => true)
      assert.equal(isDialbackKey('wrong', secrets, about), true)
    })
  })

  it('accepts the keys of every secret in force, for rotation', () => {
    const about = { pair: pairOf('a.example', 'b.example'), streamId: 'id' }
    assert.ok(isDialbackKey(dialbackKey('old', about), ['new', 'old'], about))
    assert.ok(isDialbackKey(dialbackKey('new', about), ['new', 'old'], about))
  })
})
