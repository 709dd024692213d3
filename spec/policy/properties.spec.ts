import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { atLeast, strongest } from '../../lib/model/level.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Peer, Rulebook, TlsWish } from '../../lib/model/policy.ts'
import type { TraceEntry } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { complete } from '../../lib/policy/complete.ts'
import { predict } from '../../lib/policy/predict.ts'
import { isCertificateFailure, isTlsFailure } from '../../lib/rules/clamps.ts'
import { askMinimumLevel, askTls } from '../../lib/rules/decide.ts'
import { outgoingPeer, readSide } from '../../lib/rules/described-side.ts'
import type { Party } from '../../lib/rules/described-side.ts'
import { walk } from '../../lib/rules/walk.ts'
import type { Walked } from '../../lib/rules/walk.ts'
import { OUTGOING } from '../rules/peers.ts'
import { anyGuard, anyPolicy, anyServers } from './arbitraries.ts'
import type { ScriptedServers } from './arbitraries.ts'

type Connect = Extract<TraceEntry, { step: 'connect' }>

const RUNS = 1500
const ours = fc.constantFrom<Peer['ours']>('trusted', 'self-signed', 'invalid', 'missing')

interface Case {
  readonly book: Rulebook
  readonly peer: Peer
  readonly servers: ScriptedServers
  readonly walked: Walked
}

/** How often the runs came to each end. */
const reached = new Map<string, number>()

/** Every run of the walk: a random policy under random guards, against random servers. */
function always(holds: (run: Case) => void): void {
  fc.assert(
    fc.property(anyPolicy, fc.array(anyGuard, { maxLength: 2 }), anyServers, ours, (policy, guards, servers, own) => {
      const book = { policy: complete(policy), guards }
      const peer = { ...OUTGOING, ours: own }
      const walked = walk(book, peer, servers)
      count(walked.level ?? 'none')
      if (connections(walked).some(entry => entry.facts.encryption === 'none')) count('plain turn')
      holds({ book, peer, servers, walked })
    }),
    { numRuns: RUNS }
  )
}

function count(what: string): void {
  reached.set(what, (reached.get(what) ?? 0) + 1)
}

function connections({ trace }: Walked): readonly Connect[] {
  return trace.filter((entry): entry is Connect => entry.step === 'connect')
}

function isProofInClear(entry: TraceEntry): boolean {
  return entry.step === 'dialback' && !entry.facts.encrypted && entry.outcome !== 'skipped' && entry.outcome !== 'absent'
}

describe('policy, whatever anybody answers', () => {
  after(() => {
    // Properties over runs that all fail at the first step would prove nothing.
    for (const level of ['sasl-external', 'sasl-plain', 'tls-dialback', 'plain-dialback', 'none', 'plain turn'])
      assert.ok((reached.get(level) ?? 0) > 5, level)
  })

  it('ends: no more connections than every endpoint with every proof left out in turn, and one in clear', () => {
    always(({ servers, walked }) => {
      assert.ok(connections(walked).length <= servers.endpoints.length * 4 + 1)
      assert.equal(walked.level === undefined, walked.error !== undefined)
    })
  })

  it('makes attempts monotone: encrypted ones, and then at most one in clear, the last', () => {
    always(({ walked }) => {
      const kinds = connections(walked).map(entry => entry.facts.encryption)
      const plain = kinds.indexOf('none')
      assert.ok(plain === -1 || plain === kinds.length - 1)
    })
  })

  it('makes no attempt in clear and no proof in clear before every endpoint was tried encrypted', () => {
    always(({ servers, walked, book, peer }) => {
      const tried = new Set<string>()
      for (const entry of walked.trace) {
        const isPlain = (entry.step === 'connect' && entry.facts.encryption === 'none') || isProofInClear(entry)
        // A policy that never wants TLS has nothing to try encrypted.
        if (isPlain && askTls(book, peer).answer !== 'never') assert.equal(tried.size, servers.endpoints.length)
        if (entry.step === 'connect') tried.add(entry.facts.endpoint.host)
      }
    })
  })

  it('makes an attempt in clear only after TLS or a certificate failed there, on a STARTTLS endpoint, with nobody requiring TLS', () => {
    always(({ servers, walked, book, peer }) => {
      const plain = connections(walked).find(entry => entry.facts.encryption === 'none')
      if (plain === undefined) return
      assert.equal(plain.facts.endpoint.tls, 'starttls')
      assert.notEqual(askTls(book, peer).answer, 'required')
      assert.equal(askMinimumLevel(book, peer).answer, 'plain-dialback')
      const before = connections(walked).filter(entry => entry.facts.endpoint === plain.facts.endpoint && entry !== plain)
      assert.ok(before.some(connection => hasTlsTrouble(walked.trace.filter(entry => entry.attempt === connection.attempt))))
      const cleared = servers.endpoints.filter(each => each.tls === 'starttls' && servers.of({ endpoint: each }).connects)
      assert.ok(cleared.every(each => servers.of({ endpoint: each }).starttls !== 'required'))
    })
  })

  it('breaks no floor, and proves nothing in clear where TLS is required', () => {
    always(({ walked, book, peer }) => {
      if (walked.level === undefined) return
      assert.ok(atLeast(walked.level, askMinimumLevel(book, peer).answer))
      if (askTls(book, peer).answer === 'required') assert.notEqual(walked.level, 'plain-dialback')
      for (const guard of book.guards) if (quietly(() => guard.plain?.(peer)) !== undefined) assert.notEqual(walked.level, 'plain-dialback')
    })
  })

  it('lets SASL through only over TLS with a certificate that is valid and that no guard objects to', () => {
    always(({ walked, book, peer, servers }) => {
      for (const entry of walked.trace) {
        if (entry.step !== 'sasl-external' && entry.step !== 'sasl-plain') continue
        if (entry.outcome === 'skipped' || entry.outcome === 'absent') continue
        const connection = connections(walked).find(each => each.attempt === entry.attempt)
        const verdict = connection === undefined ? undefined : servers.of(connection.facts).verdict
        assert.ok(verdict?.valid)
        assert.ok(walked.trace.some(each => each.attempt === entry.attempt && each.step === 'negotiate-tls' && each.outcome === 'ok'))
        for (const guard of book.guards)
          assert.match(String(wordOf(quietly(() => guard.certificate?.(peer, verdict)))), /^(undefined|authenticate)$/)
      }
    })
  })

  it('says nothing inside TLS to a peer whose certificate is rejected', () => {
    always(({ walked }) => {
      for (const entry of walked.trace) {
        if (entry.step !== 'check-certificate' || entry.facts.use !== 'reject') continue
        assert.ok(!walked.trace.some(each => each.attempt === entry.attempt && each.step === 'open-stream' && each.facts.encrypted))
      }
    })
  })

  it('tries no proof twice on an endpoint that it failed on', () => {
    always(({ walked }) => {
      const failed = new Set<string>()
      for (const entry of walked.trace) {
        if (
          (entry.step !== 'sasl-external' && entry.step !== 'sasl-plain' && entry.step !== 'dialback') ||
          entry.outcome === 'skipped' ||
          entry.outcome === 'absent'
        )
          continue
        const connection = connections(walked).find(each => each.attempt === entry.attempt)
        const key = `${connection?.facts.endpoint.host ?? ''} ${entry.step} ${entry.step === 'dialback' && !entry.facts.encrypted ? 'in clear' : 'inside TLS'}`
        assert.ok(!failed.has(key), key)
        if (entry.outcome !== 'ok') failed.add(key)
      }
    })
  })

  it('does nothing with whom it does not admit', () => {
    always(({ walked, book, peer }) => {
      if (!book.guards.some(guard => quietly(() => guard.admit?.(peer)) === 'refuse')) return
      assert.deepEqual([walked.level, connections(walked).length, walked.error?.code], [undefined, 0, 'S2S_POLICY'])
    })
  })

  it('holds between two sides: no level below either floor, in clear only if neither requires TLS, and always an end', () => {
    const state = fc.constantFrom<CertificateState>('valid', 'self-signed', 'expired', 'missing', 'wrong-host', 'server-auth-only')
    const side: fc.Arbitrary<Side> = fc.record({ policy: anyPolicy, guards: fc.array(anyGuard, { maxLength: 1 }), certificate: state })
    fc.assert(
      fc.property(side, side, (initiator, receiver) => {
        const { level } = predict(initiator, receiver)
        if (level === undefined) return
        const us = readSide({ ...initiator, policy: complete(initiator.policy) }, 'initiator')
        const them = readSide({ ...receiver, policy: complete(receiver.policy) }, 'receiver')
        const [out, into] = [asked(us, them, 'outgoing'), asked(them, us, 'incoming')]
        assert.ok(atLeast(level, strongest(out.floor, into.floor)), `${level} under ${out.floor} and ${into.floor}`)
        if (level === 'plain-dialback') assert.ok(out.tls !== 'required' && into.tls !== 'required')
        if (level === 'sasl-external')
          for (const each of [initiator, receiver]) assert.ok(each.certificate === 'valid' || each.certificate === 'server-auth-only')
      }),
      { numRuns: RUNS }
    )
  })
})

/** What a side's rulebook says of the other side. */
function asked(us: Party, them: Party, direction: Peer['direction']): { readonly floor: SecurityLevel; readonly tls: TlsWish } {
  const peer = { ...outgoingPeer(us, them, 'stanzas'), direction }
  return { floor: askMinimumLevel(us.book, peer).answer, tls: askTls(us.book, peer).answer }
}

function quietly(ask: () => unknown): unknown {
  try {
    return ask()
  } catch {
    return 'it threw'
  }
}

function wordOf(answer: unknown): unknown {
  return typeof answer === 'object' && answer !== null && 'answer' in answer ? answer.answer : answer
}

function hasTlsTrouble(entries: readonly TraceEntry[]): boolean {
  return entries.some(({ step, outcome, code }) => {
    if (step === 'policy' || step === 'bidi') return false
    if (outcome === 'absent') return step === 'negotiate-tls'
    if (outcome === 'ok' || outcome === 'skipped') return false
    // What failed has an error code for its code.
    const error = new FederationError(code as ErrorCode)
    return isTlsFailure({ step, error }) || isCertificateFailure({ error })
  })
}
