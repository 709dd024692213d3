import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Link } from '../../lib/model/link.ts'
import type { Logger, Metrics } from '../../lib/model/plugs.ts'
import type { Peer } from '../../lib/model/policy.ts'
import type { PairStatus, Report } from '../../lib/model/report.ts'
import { CHANNELS } from '../../lib/observe/channels.ts'
import { Listeners } from '../../lib/observe/listeners.ts'
import { METRICS } from '../../lib/observe/metrics.ts'
import { Observer } from '../../lib/observe/observer.ts'

interface Line {
  readonly level: string
  readonly fields: object
  readonly message: string | undefined
}

const peer: Peer = {
  direction: 'incoming',
  local: domain('hosted.example'),
  remote: domain('peer.example'),
  purpose: 'stanzas',
  ours: 'trusted'
}
const report: Report = {
  schema: 1,
  peer,
  policy: { name: 'ladder', options: {} },
  startedAt: 1000,
  endedAt: 1250,
  level: undefined,
  endpoint: undefined,
  pairs: [],
  trace: [],
  downgrades: [],
  error: { code: 'S2S_TIMEOUT', message: 'The peer took too long.', step: 'open-stream' },
  alternatives: []
}

function pairOf(level: SecurityLevel): PairStatus {
  return { pair: { sender: domain('peer.example'), target: domain('hosted.example') }, flow: 'receive', level, peerIdentity: 'dns' }
}

function linkOf(level: SecurityLevel): Link {
  const shown = { id: 'l1', direction: 'incoming', pairs: [pairOf(level)], level, since: 0 } as const
  return { ...shown, report, close: () => Promise.resolve(), toJSON: () => shown }
}

function recordingLogger(lines: Line[]): Logger {
  const write = (level: string) => (fields: object, message?: string) => void lines.push({ level, fields, message })
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => recordingLogger(lines) }
}

function recordingMetrics(calls: [string, number, object][]): Metrics {
  return {
    count: (name, labels) => void calls.push([name, 1, labels ?? {}]),
    gauge: (name, value, labels) => void calls.push([name, value, labels ?? {}]),
    observe: (name, value, labels) => void calls.push([name, value, labels ?? {}])
  }
}

function observerOf(parts: { logger?: Logger; metrics?: Metrics } = {}): { observer: Observer; listeners: Listeners } {
  const listeners: Listeners = new Listeners((event, error) => observer.failed(event, error))
  const observer = new Observer({ ...parts, emit: (event, detail) => listeners.emit(event, detail) })
  return { observer, listeners }
}

describe('observer', () => {
  it('tells typed listeners, and its channel only while somebody listens', () => {
    const { observer, listeners } = observerOf()
    const told: unknown[] = []
    const published: unknown[] = []
    listeners.on('negotiation-ended', detail => told.push(detail.report))
    const listener = (message: unknown): void => void published.push(message)
    observer.emit('negotiation-ended', { id: 'n0', report })
    subscribe('s2s:negotiation:end', listener)
    observer.emit('negotiation-ended', { id: 'n1', report })
    unsubscribe('s2s:negotiation:end', listener)
    assert.deepEqual(told, [report, report])
    assert.deepEqual(published, [{ id: 'n1', report }])
  })

  it('keeps a throwing listener from the negotiation and from the other listeners, and warns', () => {
    const { observer, listeners } = observerOf()
    const order: string[] = []
    const warnings: FederationError[] = []
    listeners.on('warning', ({ error }) => warnings.push(error))
    listeners.on('negotiation-started', () => {
      order.push('first')
      throw new Error('listener bug')
    })
    listeners.on('negotiation-started', () => order.push('second'))
    observer.emit('negotiation-started', { id: 'n', peer })
    assert.deepEqual(order, ['first', 'second'])
    assert.equal(warnings.length, 1)
    assert.equal(warnings[0]?.code, 'S2S_INTERNAL')
    assert.match(warnings[0].message, /a listener threw on negotiation-started/)
  })

  it('turns a rejected promise of a listener into a warning, and never warns about warnings', async () => {
    const { observer, listeners } = observerOf()
    let warnings = 0
    listeners.on('warning', () => {
      warnings += 1
      throw new Error('again')
    })
    listeners.on('warning', () => Promise.reject(new Error('and again')))
    listeners.on('downgrade', () => Promise.reject(new Error('late')))
    const rejecting: PromiseLike<void> = { then: (...by) => Promise.reject(new Error('later still')).then(...by) }
    listeners.on('downgrade', () => rejecting as unknown as undefined)
    observer.emit('downgrade', { id: 'n', peer, from: 'tls-dialback', to: 'plain-dialback', because: 'TLS was not offered' })
    for (let turn = 0; turn < 5; turn += 1) await new Promise(resolve => setImmediate(resolve))
    assert.equal(warnings, 2)
  })

  it('survives a logger and a metric system that throw', () => {
    const broken = (): never => {
      throw new Error('disk full')
    }
    const logger: Logger = { debug: broken, info: broken, warn: broken, error: broken, child: () => logger }
    const { observer, listeners } = observerOf({ logger, metrics: { count: broken, gauge: broken, observe: broken } })
    const warnings: string[] = []
    listeners.on('warning', ({ error }) => warnings.push(error.message))
    observer.emit('negotiation-ended', { id: 'n', report })
    assert.equal(warnings.length, 2)
  })

  it('turns what a logger and a metric system reject with into a warning each, though they fail at the warnings too', async () => {
    const rejecting = (): Promise<void> => Promise.reject(new Error('the collector is away'))
    const plugs = {
      debug: rejecting,
      info: rejecting,
      warn: rejecting,
      error: rejecting,
      count: rejecting,
      gauge: rejecting,
      observe: rejecting
    }
    const logger: Logger = { ...plugs, child: () => logger }
    const { observer, listeners } = observerOf({ logger, metrics: plugs })
    const warnings: string[] = []
    listeners.on('warning', ({ error }) => warnings.push(error.message.replace(/.*: the (\w+) threw on .*/, '$1')))
    const link = linkOf('plain-dialback')
    const events = [
      () => observer.emit('negotiation-started', { id: 'n', peer }),
      () => observer.emit('negotiation-ended', { id: 'n', report }),
      () => observer.emit('downgrade', { id: 'n', peer, from: 'sasl-external', to: 'tls-dialback', because: 'it is expired' }),
      () => observer.emit('link-established', { link }),
      () => observer.emit('pair-authenticated', { link, pair: pairOf('plain-dialback') }),
      () => observer.emit('link-closed', { link, error: undefined }),
      () => observer.emit('settings-changed', { what: 'policy' })
    ]
    const told: string[] = []
    for (const emit of events) {
      emit()
      for (let turn = 0; turn < 3; turn += 1) await new Promise(resolve => setImmediate(resolve))
      told.push(warnings.splice(0).join(' '))
    }
    const both = 'logger metrics'
    assert.deepEqual(told, ['logger', 'logger metrics metrics', both, both, both, both, 'logger'])
  })

  for (const [child, sentence] of [
    [
      () => {
        throw new Error('no child')
      },
      /options\.logger\.child threw: no child/
    ],
    [() => undefined, /options\.logger\.child has to give a logger/],
    [() => ({ info: () => undefined }), /options\.logger\.child has to give a logger/]
  ] as const)
    it(`refuses a logger whose child is of no use: ${sentence.source}`, () => {
      const logger = { ...recordingLogger([]), child: child as () => Logger }
      assert.throws(() => observerOf({ logger }), { code: 'S2S_CONFIG', message: sentence })
    })

  it('logs every downgrade and every unencrypted pair as a warning', () => {
    const lines: Line[] = []
    const { observer } = observerOf({ logger: recordingLogger(lines) })
    observer.emit('downgrade', { id: 'n', peer, from: 'sasl-external', to: 'tls-dialback', because: 'the certificate is self-signed' })
    observer.emit('pair-authenticated', { link: linkOf('plain-dialback'), pair: pairOf('plain-dialback') })
    observer.emit('pair-authenticated', { link: linkOf('sasl-external'), pair: pairOf('sasl-external') })
    assert.deepEqual(
      lines.map(line => line.level),
      ['warn', 'warn', 'info']
    )
  })

  it('logs only named fields: a stanza that bounced leaves no body in the log', () => {
    const lines: Line[] = []
    const { observer } = observerOf({ logger: recordingLogger(lines) })
    const error = new FederationError('S2S_DNS_FAILED', { cause: new Error('the secret body') })
    const stanza = new Element('message').c('body').t('the secret body').root()
    observer.emit('stanza-bounced', { error, stanza })
    observer.emit('warning', { error })
    assert.equal(lines.length, 2)
    assert.doesNotMatch(JSON.stringify(lines), /secret/)
  })

  it('has a channel of its own for each event, and a prefix for all channels and metrics', () => {
    const channels = Object.values(CHANNELS)
    assert.equal(new Set(channels).size, channels.length)
    assert.ok(channels.every(name => name.startsWith('s2s:')))
    assert.ok(Object.values(METRICS).every(name => name.startsWith('s2s_')))
  })

  it('counts negotiations, pairs by proof, and open links', () => {
    const calls: [string, number, object][] = []
    const { observer } = observerOf({ metrics: recordingMetrics(calls) })
    const link = linkOf('tls-dialback')
    observer.emit('negotiation-ended', { id: 'n', report })
    observer.emit('link-established', { link })
    observer.emit('pair-authenticated', { link, pair: pairOf('tls-dialback') })
    observer.emit('link-closed', { link, error: undefined })
    observer.emit('link-closed', { link, error: undefined })
    assert.deepEqual(calls, [
      ['s2s_negotiations_total', 1, { direction: 'incoming', outcome: 'failed', code: 'S2S_TIMEOUT' }],
      ['s2s_negotiation_seconds', 0.25, { direction: 'incoming', outcome: 'failed' }],
      ['s2s_links', 1, { direction: 'incoming', encrypted: 'false' }],
      ['s2s_authenticated_total', 1, { direction: 'incoming', proof: 'dialback', level: 'tls-dialback' }],
      ['s2s_links', 0, { direction: 'incoming', encrypted: 'false' }]
    ])
  })
})
