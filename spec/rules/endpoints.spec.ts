import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { SrvRecord } from '../../lib/model/plugs.ts'
import { chooseEndpoints } from '../../lib/rules/endpoints.ts'
import type { ServiceLookup } from '../../lib/rules/endpoints.ts'

const HOST = 'shakespeare.example'
const absent: ServiceLookup = { outcome: 'absent' }
const failed: ServiceLookup = { outcome: 'failed', because: 'SRV: SERVFAIL' }
const record = (target: string, wishes: Partial<SrvRecord> = {}): SrvRecord => ({ target, port: 5269, priority: 0, weight: 0, ...wishes })
const found = (...records: SrvRecord[]): ServiceLookup => ({ outcome: 'found', records })
const refusal = found(record('.', { port: 0 }))

interface Lookups {
  readonly direct?: ServiceLookup
  readonly starttls?: ServiceLookup
}

const choose = (
  { direct = absent, starttls = absent }: Lookups,
  random: () => number = Math.random,
  limit = 16
): ReturnType<typeof chooseEndpoints> => chooseEndpoints(HOST, { direct, starttls }, { random, limit })

/** `host/kind` of each endpoint, or the other outcome. */
const outcome = (lookups: Lookups, random?: () => number): readonly string[] | string => {
  const choice = choose(lookups, random)
  return choice.outcome === 'endpoints'
    ? choice.endpoints.map(({ host, port, tls, source }) => `${host}:${port} ${tls} ${source}`)
    : choice.outcome
}

/** Gives the numbers in turn; Fisher and Yates leave a list as it is on numbers just below 1. */
const sequence = (...numbers: number[]): (() => number) => {
  const left = [...numbers]
  return () => left.shift() ?? 0
}
const KEEP = 0.999_999

describe('the endpoints of a domain', () => {
  it('[RFC6120-3.2.2-a] are the domain itself at port 5269 when both services are definitely absent', () => {
    assert.deepEqual(outcome({}), ['shakespeare.example:5269 starttls fallback'])
  })

  it('[RFC6120-3.2.1-a] never hold that fallback beside or after SRV targets', () => {
    assert.deepEqual(outcome({ starttls: found(record('a.example', { port: 5200 })) }), ['a.example:5200 starttls srv'])
  })

  it('have hosts without the dot at the end that a resolver may leave there', () => {
    assert.deepEqual(outcome({ starttls: found(record('xmpp.a.example.')) }), ['xmpp.a.example:5269 starttls srv'])
  })

  it('[RFC6120-3.2.1-b] are refused by a target of "." unless the other kind has one to use', () => {
    assert.equal(outcome({ starttls: refusal }), 'refused')
    assert.equal(outcome({ starttls: refusal, direct: refusal }), 'refused')
    assert.deepEqual(outcome({ starttls: refusal, direct: found(record('a.example', { port: 5270 })) }), ['a.example:5270 direct srv'])
  })

  it('[XEP0368-c] are refused, without fallback, by a "." for direct TLS and nothing for STARTTLS', () => {
    assert.equal(outcome({ direct: refusal }), 'refused')
    assert.deepEqual(outcome({ direct: refusal, starttls: found(record('a.example')) }), ['a.example:5269 starttls srv'])
  })

  it('are found by one kind when the lookup of the other failed, which is recorded', () => {
    const choice = choose({ direct: failed, starttls: found(record('a.example')) })
    assert.ok(choice.outcome === 'endpoints')
    assert.deepEqual([choice.endpoints.length, choice.failures], [1, ['SRV: SERVFAIL']])
  })

  it('are unknown, which is no absence, when nothing was found and a lookup failed', () => {
    for (const lookups of [
      { direct: failed },
      { starttls: failed },
      { direct: failed, starttls: failed },
      { direct: failed, starttls: refusal }
    ])
      assert.equal(outcome(lookups), 'failed')
  })

  it('leave out port 0, a "." among several, and targets that no host can have', () => {
    const records = [record('.'), record('b.example', { port: 0 }), record('evil\u001b[2J.example'), record(''), record('a.example')]
    assert.deepEqual(outcome({ starttls: found(...records) }), ['a.example:5269 starttls srv'])
    assert.equal(outcome({ starttls: found(record('b.example', { port: 0 })) }), 'refused')
  })

  it('[XEP0368-a] mix both kinds by priority and weight as one set of records', () => {
    const at = (priority: number): ServiceLookup => found(record('a.example', { priority, weight: 1 }))
    const kinds = (lookups: Lookups, random?: () => number): readonly string[] => {
      const choice = choose(lookups, random)
      return choice.outcome === 'endpoints' ? choice.endpoints.map(({ tls }) => tls) : []
    }
    assert.deepEqual(kinds({ direct: at(5), starttls: at(10) }), ['direct', 'starttls'])
    assert.deepEqual(kinds({ direct: at(10), starttls: at(5) }), ['starttls', 'direct'])
    const first = Array.from(
      { length: 2000 },
      () => kinds({ direct: found(record('a.example', { weight: 30 })), starttls: found(record('b.example', { weight: 10 })) })[0]
    )
    const direct = first.filter(kind => kind === 'direct').length
    assert.ok(direct > 1400 && direct < 1620, `direct TLS first in ${direct} of 2000`)
  })

  it('[XEP0495-a] hold every target of a priority before any of the next', () => {
    const records = [20, 10, 20, 10, 0].map((priority, index) => record(`h${index}.example`, { priority, weight: index }))
    const choice = choose({ starttls: found(...records) })
    assert.ok(choice.outcome === 'endpoints')
    const priorities = choice.endpoints.map(({ host }) => records.find(({ target }) => target === host)?.priority)
    assert.deepEqual(priorities, [0, 10, 10, 20, 20])
  })

  it('[RFC2782-a] are drawn by weight: of 0, 10 and 30, a draw of 0 takes the first, 1 to 10 the second, 11 to 40 the third', () => {
    const three = found(record('a.example', { weight: 0 }), record('b.example', { weight: 10 }), record('c.example', { weight: 30 }))
    const first = (draw: number): string | undefined => {
      const choice = choose({ starttls: three }, sequence(KEEP, KEEP, draw / 41 + 0.001))
      return choice.outcome === 'endpoints' ? choice.endpoints[0]?.host : undefined
    }
    const firsts = [0, 1, 10, 11, 40].map(first)
    assert.deepEqual(firsts, ['a.example', 'b.example', 'b.example', 'c.example', 'c.example'])
  })

  it('[RFC2782-a] come first in proportion to their weights over many draws, weight 0 rarely', () => {
    const four = found(
      record('a.example', { weight: 0 }),
      record('b.example', { weight: 10 }),
      record('c.example', { weight: 30 }),
      record('d.example', { weight: 60 })
    )
    const counts = new Map<string, number>()
    for (let run = 0; run < 10_000; run += 1) {
      const choice = choose({ starttls: four })
      const host = choice.outcome === 'endpoints' ? (choice.endpoints[0]?.host ?? '') : ''
      counts.set(host, (counts.get(host) ?? 0) + 1)
    }
    for (const [host, expected] of [
      ['a.example', 99],
      ['b.example', 990],
      ['c.example', 2970],
      ['d.example', 5941]
    ] as const) {
      const seen = counts.get(host) ?? 0
      assert.ok(Math.abs(seen - expected) < 60 + expected * 0.08, `${host} first in ${seen}, expected about ${expected}`)
    }
  })

  it('[RFC2782-a] of equal weight 0 are not always tried in the order in which DNS gave them', () => {
    const three = found(record('a.example'), record('b.example'), record('c.example'))
    const orders = new Set(Array.from({ length: 300 }, () => String(outcome({ starttls: three }))))
    assert.equal(orders.size, 6)
  })

  it('are, whatever DNS says, at most as many as asked for, each usable, and each there once', () => {
    const records = fc.array(
      fc.record({
        target: fc.constantFrom('.', '', 'a.example', 'b.example', 'c.example', '192.0.2.1'),
        port: fc.constantFrom(0, 5269, 65_535),
        priority: fc.integer({ min: 0, max: 3 }),
        weight: fc.integer({ min: 0, max: 65_535 })
      })
    )
    const lookup = fc.oneof(
      fc.constant(absent),
      fc.constant(failed),
      records.map(each => found(...each))
    )
    fc.assert(
      fc.property(
        lookup,
        lookup,
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.double({ min: 0, max: 0.999_999, noNaN: true }), { minLength: 1 }),
        (direct, starttls, limit, numbers) => {
          const choice = choose({ direct, starttls }, sequence(...numbers, ...numbers, ...numbers), limit)
          if (choice.outcome !== 'endpoints') return
          const all = [direct, starttls]
            .flatMap(each => (each.outcome === 'found' ? each.records : []))
            .filter(({ target, port }) => port > 0 && target.length > 1)
          assert.equal(choice.endpoints.length, Math.min(limit, Math.max(all.length, 1)))
          assert.ok(choice.endpoints.every(({ host, port }) => port > 0 && host !== '.' && host !== ''))
        }
      )
    )
  })
})
