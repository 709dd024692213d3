import type { FederationEvents } from '../model/events.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { Link } from '../model/link.ts'
import type { Metrics } from '../model/plugs.ts'
import type { Report, TraceEntry } from '../model/report.ts'

/** Every metric of the engine. Times are in seconds, as metric systems expect; label values come from small closed sets. */
export const METRICS = {
  /** Counter {direction, outcome: established|failed|answered, code}; `answered`: a stream that only asked for dialback verification. */
  negotiations: 's2s_negotiations_total',
  /** Histogram {direction, outcome}. */
  negotiationSeconds: 's2s_negotiation_seconds',
  /** Histogram {direction, step, outcome}. */
  stepSeconds: 's2s_step_seconds',
  /** Counter {direction, proof, level}: one for each pair. */
  authenticated: 's2s_authenticated_total',
  /** Counter {direction, verdict: valid|<kind of the first problem>}. */
  certificates: 's2s_certificate_total',
  /** Counter {direction, from, to}. */
  downgrades: 's2s_downgrades_total',
  /** Gauge {direction, encrypted: true|false}. */
  links: 's2s_links',
  /** Counter {direction, fate: written|acknowledged}. */
  sent: 's2s_stanzas_sent_total',
  /** Counter {direction}. */
  received: 's2s_stanzas_received_total',
  /** Gauge {state: queued|unacknowledged}, over all pairs. */
  pending: 's2s_stanzas_pending',
  /** Counter {direction, outcome: resumed|refused}. */
  resumptions: 's2s_resumptions_total',
  /** Counter {code}. */
  bounced: 's2s_stanzas_bounced_total',
  /** Counter {code}. */
  warnings: 's2s_warnings_total'
} as const

const SECOND = 1000

type Recorders = { readonly [E in keyof FederationEvents]?: (to: Metrics, detail: FederationEvents[E]) => void }

/** Turns events into metrics. One for each engine: the gauge of links is counted here. */
export class MetricsRecorder {
  readonly #metrics: Metrics
  readonly #open = new WeakSet<Link>()
  readonly #counts = new Map<string, number>()
  readonly #recorders: Recorders = {
    'negotiation-step': (to, { peer, entry }) => step(to, peer.direction, entry),
    'negotiation-ended': (to, { report }) => negotiation(to, report),
    downgrade: (to, { peer, from, to: level }) => to.count(METRICS.downgrades, { direction: peer.direction, from, to: level }),
    'link-established': (to, { link }) => this.#opened(to, link),
    'link-closed': (to, { link }) => this.#closed(to, link),
    'pair-authenticated': (to, { link, pair }) =>
      to.count(METRICS.authenticated, { direction: link.direction, proof: proofOf(pair.level), level: pair.level }),
    'stanza-bounced': (to, { error }) => to.count(METRICS.bounced, { code: error.code }),
    warning: (to, { error }) => to.count(METRICS.warnings, { code: error.code })
  }

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  /** @param heard given whatever the metric system returns, which may be a promise */
  record<E extends keyof FederationEvents>(event: E, detail: FederationEvents[E], heard: (result: unknown) => void): void {
    this.#recorders[event]?.(new Heard(this.#metrics, heard), detail)
  }

  #opened(to: Metrics, link: Link): void {
    if (this.#open.has(link)) return
    this.#open.add(link)
    this.#gauge(to, link, 1)
  }

  #closed(to: Metrics, link: Link): void {
    if (this.#open.delete(link)) this.#gauge(to, link, -1)
  }

  #gauge(to: Metrics, link: Link, change: 1 | -1): void {
    const labels = { direction: link.direction, encrypted: String(link.tls !== undefined) }
    const key = `${labels.direction} ${labels.encrypted}`
    const count = (this.#counts.get(key) ?? 0) + change
    this.#counts.set(key, count)
    to.gauge(METRICS.links, count, labels)
  }
}

/** A metric system whose methods are async ones, although none is asked for: what they return is heard. */
export class Heard implements Metrics {
  readonly #metrics: { readonly [K in keyof Metrics]: (...by: Parameters<Metrics[K]>) => unknown }
  readonly #heard: (result: unknown) => void

  constructor(metrics: Metrics, heard: (result: unknown) => void) {
    this.#metrics = metrics
    this.#heard = heard
  }

  count(...by: Parameters<Metrics['count']>): void {
    this.#heard(this.#metrics.count(...by))
  }

  gauge(...by: Parameters<Metrics['gauge']>): void {
    this.#heard(this.#metrics.gauge(...by))
  }

  observe(...by: Parameters<Metrics['observe']>): void {
    this.#heard(this.#metrics.observe(...by))
  }
}

function step(to: Metrics, direction: string, entry: TraceEntry): void {
  if (entry.step === 'policy') return
  to.observe(METRICS.stepSeconds, entry.took / SECOND, { direction, step: entry.step, outcome: entry.outcome })
  if (entry.step !== 'check-certificate') return
  const { verdict } = entry.facts
  to.count(METRICS.certificates, { direction, verdict: verdict.valid ? 'valid' : (verdict.problems[0]?.kind ?? 'invalid') })
}

function negotiation(to: Metrics, report: Report): void {
  const direction = report.peer.direction
  const outcome = report.level !== undefined ? 'established' : report.error === undefined ? 'answered' : 'failed'
  to.count(METRICS.negotiations, { direction, outcome, code: report.error?.code ?? 'ok' })
  to.observe(METRICS.negotiationSeconds, (report.endedAt - report.startedAt) / SECOND, { direction, outcome })
}

function proofOf(level: SecurityLevel): string {
  return level === 'tls-dialback' || level === 'plain-dialback' ? 'dialback' : level
}
