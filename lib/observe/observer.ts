import { FederationError } from '../errors.ts'
import type { FederationEvents } from '../model/events.ts'
import type { Logger, Metrics } from '../model/plugs.ts'
import { publish } from './channels.ts'
import { writeLine } from './log.ts'
import { MetricsRecorder } from './metrics.ts'
import { hearRejection } from './rejection.ts'
import { Traffic } from './traffic.ts'

export interface ObserverParts {
  /** A child of it, bound to `component: 's2s'`, gets one line for each event. */
  readonly logger?: Logger
  readonly metrics?: Metrics
  /** The typed listeners of the engine. */
  readonly emit: <E extends keyof FederationEvents>(event: E, detail: FederationEvents[E]) => void
}

/**
 * Where everything that happens is told, once: to the typed listeners, to `node:diagnostics_channel`, to the metrics and to the
 * log. No listener, logger or metric system that throws or rejects ever reaches the negotiation it watches: it becomes a `warning`.
 */
export class Observer {
  /** What happens too often to be an event each time. */
  readonly traffic: Traffic
  readonly #logger: Logger | undefined
  readonly #metrics: MetricsRecorder | undefined
  readonly #listeners: ObserverParts['emit']

  /** @throws FederationError `S2S_CONFIG` when the logger has no child to give */
  constructor(by: ObserverParts) {
    this.#logger = by.logger === undefined ? undefined : childOf(by.logger)
    this.#metrics = by.metrics === undefined ? undefined : new MetricsRecorder(by.metrics)
    this.#listeners = by.emit
    this.traffic = new Traffic(by.metrics, cause =>
      this.warn(new FederationError('S2S_INTERNAL', { detail: 'the metrics threw on a stanza', cause }))
    )
  }

  emit<E extends keyof FederationEvents>(event: E, detail: FederationEvents[E]): void {
    this.#guarded(event, 'the logger', heard => {
      if (this.#logger !== undefined) heard(writeLine(this.#logger, event, detail))
    })
    this.#guarded(event, 'the metrics', heard => this.#metrics?.record(event, detail, heard))
    this.#guarded(event, 'a diagnostics channel', () => publish(event, detail))
    this.#guarded(event, 'a listener', () => this.#listeners(event, detail))
  }

  /** Something went wrong that has no caller to be told. */
  warn(error: FederationError): void {
    this.emit('warning', { error })
  }

  /** An observer failed. A `warning` says so, unless it was a warning that it failed on: that would go on for ever. */
  failed(event: keyof FederationEvents, cause: unknown, what = 'a listener'): void {
    if (event !== 'warning') this.warn(new FederationError('S2S_INTERNAL', { detail: `${what} threw on ${event}`, cause }))
  }

  #guarded(event: keyof FederationEvents, what: string, run: (heard: (result: unknown) => void) => void): void {
    const heard = (result: unknown): void => hearRejection(result, cause => this.failed(event, cause, what))
    try {
      run(heard)
    } catch (cause) {
      this.failed(event, cause, what)
    }
  }
}

function childOf(logger: Logger): Logger {
  let child: Logger
  try {
    child = logger.child({ component: 's2s' })
  } catch (cause) {
    const detail = `options.logger.child threw: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new FederationError('S2S_CONFIG', { detail, cause })
  }
  if (writes(child)) return child
  throw new FederationError('S2S_CONFIG', { detail: 'options.logger.child has to give a logger with debug, info, warn, error' })
}

function writes(child: Partial<Logger> | null | undefined): boolean {
  return (['debug', 'info', 'warn', 'error'] as const).every(name => typeof child?.[name] === 'function')
}
