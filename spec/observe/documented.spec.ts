import assert from 'node:assert/strict'
import { Element } from 'ltx'
import ts from 'typescript'
import { FederationError } from '../../lib/errors.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Link } from '../../lib/model/link.ts'
import type { Logger } from '../../lib/model/plugs.ts'
import type { Peer } from '../../lib/model/policy.ts'
import type { PairStatus, Report } from '../../lib/model/report.ts'
import { CHANNELS } from '../../lib/observe/channels.ts'
import { METRICS } from '../../lib/observe/metrics.ts'
import { Observer } from '../../lib/observe/observer.ts'
import { read, tableRows } from '../pages.ts'

type Event = keyof FederationEvents

const PAGE = 'docs/observing.md'
const [a, b] = [domain('a.example'), domain('b.example')]
const peer: Peer = { direction: 'incoming', local: b, remote: a, address: '192.0.2.1', purpose: 'stanzas', ours: 'trusted' }
const error = new FederationError('S2S_INTERNAL', {
  step: 'dialback',
  condition: 'not-authorized',
  pair: { sender: a, target: b },
  cause: new Error('why')
})
const open: Report = {
  schema: 1,
  peer,
  policy: { name: 'ladder', options: {} },
  startedAt: 0,
  endedAt: 1,
  level: undefined,
  endpoint: undefined,
  pairs: [],
  trace: [],
  downgrades: [],
  error: undefined,
  alternatives: []
}
const failed: Report = { ...open, error: { code: error.code, message: error.message, step: 'dialback' } }
const statusOf = (level: SecurityLevel): PairStatus => ({ pair: { sender: a, target: b }, flow: 'receive', level, peerIdentity: 'dns' })
const link: Link = {
  id: 'l',
  direction: 'incoming',
  pairs: [],
  level: 'tls-dialback',
  tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' },
  since: 0,
  report: open,
  close: () => Promise.resolve(),
  toJSON: () => link
}
const load = { stanzas: 1, bytes: 1 }
const step = { at: 0, attempt: 1, outcome: 'ok', code: 'ok', took: 1 } as const

/** Each event in every shape that is told differently, with everything in it that there can be. */
const SAMPLES: { readonly [E in Event]: readonly FederationEvents[E][] } = {
  'negotiation-started': [{ id: 'n', peer }],
  'negotiation-step': [
    { id: 'n', peer, entry: { ...step, step: 'sasl-external', message: 'a sentence', facts: {} } },
    { id: 'n', peer, entry: { ...step, step: 'check-certificate', facts: { verdict: MISSING_CERTIFICATE, ours: 'trusted' } } }
  ],
  'negotiation-ended': [
    { id: 'n', report: { ...open, level: 'tls-dialback' } },
    { id: 'n', report: failed },
    { id: 'n', report: { ...failed, error: { code: 'S2S_LIMIT', message: error.message, step: 'connect' } } },
    { id: 'n', report: open }
  ],
  downgrade: [{ id: 'n', peer, from: 'sasl-external', to: 'tls-dialback', because: 'so' }],
  'link-established': [{ link }],
  'pair-authenticated': [
    { link, pair: statusOf('tls-dialback') },
    { link, pair: statusOf('plain-dialback') }
  ],
  'certificate-changed': [{ link, pair: statusOf('tls-dialback'), before: { fingerprint256: 'ab', spki256: 'cd', notAfter: undefined } }],
  'link-reset': [{ link, error }],
  'link-closed': [{ link, error }],
  'route-changed': [
    {
      route: {
        pair: { sender: a, target: b },
        state: 'bounce',
        ...load,
        unacknowledged: load,
        held: load,
        link: 'l',
        until: 1,
        reason: error
      }
    }
  ],
  'stanza-bounced': [{ stanza: new Element('message'), error }],
  'settings-changed': [{ what: 'trust' }],
  warning: [{ error }]
}
const EVENTS = Object.keys(SAMPLES) as readonly Event[]

/** Rows of the table whose header begins so, below the header. */
function tableOf(...header: readonly string[]): readonly (readonly string[])[] {
  const rows = tableRows(read(PAGE))
  const at = rows.findIndex(row => header.every((cell, index) => row[index] === cell))
  assert.notEqual(at, -1, header.join())
  const width = rows[at]?.length
  const next = rows.findIndex((row, index) => index > at && HEADERS.includes(row.slice(0, 2).join(' ')))
  const table = rows.slice(at + 1, next === -1 ? undefined : next)
  assert.ok(table.every(row => row.length === width))
  return table
}
const HEADERS: readonly string[] = ['event channel', 'metric kind', 'label values', 'event level', 'field meaning']

/** The words of a cell that lists some. */
const listIn = (cell = ''): readonly string[] => cell.split(', ')

/** Everything that the samples make an observer do with these parts. */
function observed(parts: Omit<ConstructorParameters<typeof Observer>[0], 'emit'>, before: (event: Event) => void = () => undefined): void {
  const observer = new Observer({ ...parts, emit: () => undefined })
  observer.traffic.sent('outgoing', 'written')
  observer.traffic.received('incoming')
  observer.traffic.resumption('outgoing', 'resumed')
  observer.traffic.pending('queued', 1)
  for (const event of EVENTS)
    for (const detail of SAMPLES[event]) {
      before(event)
      observer.emit(event, detail)
    }
}

describe(`what ${PAGE} says`, () => {
  it('of each event: its channel, and what is told', () => {
    const table = tableOf('event', 'channel')
    assert.deepEqual(Object.fromEntries(table.map(([event, channel]) => [event, channel])), CHANNELS)
    assert.deepEqual(Object.fromEntries(table.map(([event, , , detail]) => [event, listIn(detail)])), detailsOfEvents())
    assert.ok(table.every(([, , when = '']) => when.length > 20))
  })

  it('of each metric: its kind and its labels', async () => {
    const known = new Map<string, { readonly kind: string; readonly labels: readonly string[] }>()
    const heard = (kind: string, name: string, labels: object = {}): void => {
      const now = { kind, labels: Object.keys(labels) }
      assert.deepEqual(known.get(name) ?? now, now, `${name} is always of one kind, with the same labels`)
      known.set(name, now)
    }
    observed({
      metrics: {
        count: (name, labels) => heard('counter', name, labels),
        gauge: (name, _, labels) => heard('gauge', name, labels),
        observe: (name, _, labels) => heard('histogram', name, labels)
      }
    })
    await new Promise(resolve => setImmediate(resolve))
    const table = tableOf('metric', 'kind')
    assert.deepEqual([...known.keys()].sort(), Object.values(METRICS).toSorted())
    assert.deepEqual(
      Object.fromEntries(table.map(([name, kind, labels]) => [name, { kind, labels: listIn(labels) }])),
      Object.fromEntries(known)
    )
    const used = new Set([...known.values()].flatMap(({ labels }) => labels))
    assert.deepEqual(
      tableOf('label', 'values')
        .flatMap(([labels]) => listIn(labels))
        .sort(),
      [...used].sort()
    )
  })

  it('of each line of the log: its level, message and fields, and of each field what it means', () => {
    const lines = new Map<string, readonly string[]>()
    let told: Event = 'warning'
    const heard = (level: string) => (fields: object, message?: string) => {
      const said = message === error.message ? "the error's" : message?.replace(/from \S+ to \S+/, 'from … to …')
      const key = `${told} | ${level} | ${said}`
      const present = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name]))
      lines.set(key, [...new Set([...(lines.get(key) ?? []), ...present])])
    }
    const logger: Logger = { debug: heard('debug'), info: heard('info'), warn: heard('warn'), error: heard('error'), child: () => logger }
    observed({ logger }, event => {
      told = event
    })
    const sorted = (fields: readonly string[]): readonly string[] => fields.toSorted()
    assert.deepEqual(
      Object.fromEntries(tableOf('event', 'level').map(row => [row.slice(0, 3).join(' | '), sorted(listIn(row[3]))])),
      Object.fromEntries([...lines].map(([key, fields]) => [key, sorted(fields)]))
    )
    const explained = tableOf('field', 'meaning').flatMap(([fields]) => listIn(fields))
    assert.deepEqual(explained.toSorted(), [...new Set([...lines.values()].flat())].sort())
  })
})

/** What the declaration of each event has in it. */
function detailsOfEvents(): Readonly<Record<string, readonly string[]>> {
  const tree = ts.createSourceFile('events.ts', read('lib/model/events.ts'), ts.ScriptTarget.ES2023, true)
  const events = [...(tree.statements.find(ts.isInterfaceDeclaration)?.members ?? [])].filter(ts.isPropertySignature)
  return Object.fromEntries(
    events.map(({ name, type }) => {
      assert.ok(type !== undefined && ts.isTypeLiteralNode(type))
      return [nameOf(name), type.members.map(member => nameOf(member.name))]
    })
  )
}

function nameOf(name: ts.PropertyName | undefined): string {
  return name !== undefined && ts.isStringLiteral(name) ? name.text : (name?.getText() ?? '')
}
