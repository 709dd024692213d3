import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { domain, pairKey } from '../../lib/model/domain.ts'
import { admitStanza } from '../../lib/rules/addressing.ts'

const pairs = new Map(
  [
    ['a.example', 'x.example'],
    ['b.example', 'y.example'],
    ['bücher.example', 'x.example']
  ].map(([sender, target]) => {
    const pair = { sender: domain(sender ?? ''), target: domain(target ?? '') }
    return [pairKey(pair), { pair }]
  })
)

function verdictOn(from: string | undefined, to: string | undefined): string {
  const result = admitStanza({ from, to }, pairs)
  return result.admitted ? `${result.from.domain} → ${result.to.domain}` : result.condition
}

describe('rules/addressing', () => {
  it('admits the exact pair, whatever the local parts and resources', () => {
    assert.equal(verdictOn('a.example', 'x.example'), 'a.example → x.example')
    assert.equal(verdictOn('juliet@a.example/balcony', 'romeo@x.example/orchard'), 'a.example → x.example')
  })

  it('[RFC6120-4.3.5-a] refuses everything while nobody is authenticated', () => {
    const result = admitStanza({ from: 'a.example', to: 'x.example' }, new Map())
    assert.ok(!result.admitted)
    assert.equal(result.condition, 'not-authorized')
  })

  it('[RFC6120-8.1.1.2-a] refuses a missing or empty to as improper-addressing', () => {
    for (const to of [undefined, '', '@', '@x.example', 'x.example/', ' x.example'])
      assert.equal(verdictOn('a.example', to), 'improper-addressing')
  })

  it('[RFC6120-8.1.1.2-b] refuses a to that is not validated for the sender as host-unknown', () => {
    assert.equal(verdictOn('a.example', 'z.example'), 'host-unknown')
    assert.equal(verdictOn('a.example', 'y.example'), 'host-unknown')
  })

  it('[RFC6120-8.1.2.2-a] refuses a missing from as improper-addressing, another domain or a subdomain as invalid-from', () => {
    assert.equal(verdictOn(undefined, 'x.example'), 'improper-addressing')
    assert.equal(verdictOn('', 'x.example'), 'improper-addressing')
    for (const from of ['c.example', 'sub.a.example', 'example', 'xa.example']) assert.equal(verdictOn(from, 'x.example'), 'invalid-from')
  })

  it('[RFC6120-8.1.2.2-b] takes the domain before the first slash, so a resource cannot stand in for it', () => {
    assert.equal(verdictOn('victim.example/x@a.example', 'x.example'), 'invalid-from')
    assert.equal(verdictOn('user@victim.example/@a.example', 'x.example'), 'invalid-from')
    assert.equal(verdictOn('victim.example@a.example', 'x.example'), 'a.example → x.example')
  })

  it('[SEC-ID-a] maps every spelling of a domain to the one that was authenticated, or refuses it', () => {
    for (const from of ['A.EXAMPLE', 'a.example.', 'ａ.example', 'a。example'])
      assert.equal(verdictOn(from, 'x.example'), 'a.example → x.example')
    for (const from of ['xn--bcher-kva.example', 'BÜCHER.example']) assert.equal(verdictOn(from, 'x.example'), 'bücher.example → x.example')
    for (const from of [' a.example', 'a.example ', 'a.exa\u00admple', 'a.example\0', '127.0.0.1', '[::1]', `${'a'.repeat(64)}.example`]) {
      assert.equal(verdictOn(from, 'x.example'), 'improper-addressing')
    }
  })

  it('[ENG-NAME-b] is asked by whoever makes a stanza of what came in, and its addresses are those of the stanza', () => {
    const lib = new URL('../../lib/', import.meta.url)
    const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts') && name !== 'xml/stanza.ts')
    const makers = sources.flatMap(name => {
      const source = readFileSync(new URL(name, lib), 'utf8')
      return [...source.matchAll(/createStanza\((.*?)\)/gu)].map(([, given]) => [name, given, /judged = admitStanza\(/u.test(source)])
    })
    assert.deepEqual(makers.sort(), [
      ['incoming/negotiate.ts', 'frame, judged.from, judged.to', true],
      ['links/reverse-flow.ts', 'frame, judged.from, judged.to', true]
    ])
  })

  it('[XEP0220-2.2.1-c] carries a set of pairs, not the product of their halves', () => {
    assert.equal(verdictOn('a.example', 'y.example'), 'host-unknown')
    assert.equal(verdictOn('b.example', 'x.example'), 'host-unknown')
  })
})
