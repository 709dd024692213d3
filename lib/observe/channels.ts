import { channel } from 'node:diagnostics_channel'
import type { FederationEvents } from '../model/events.ts'

/** The `node:diagnostics_channel` name of each event. The message is the event's own detail object, published only while somebody listens. */
export const CHANNELS = {
  'negotiation-started': 's2s:negotiation:start',
  'negotiation-step': 's2s:negotiation:step',
  'negotiation-ended': 's2s:negotiation:end',
  downgrade: 's2s:negotiation:downgrade',
  'link-established': 's2s:link:open',
  'link-closed': 's2s:link:close',
  'pair-authenticated': 's2s:link:pair',
  'certificate-changed': 's2s:link:certificate',
  'link-reset': 's2s:link:reset',
  'route-changed': 's2s:route',
  'settings-changed': 's2s:settings',
  'stanza-bounced': 's2s:stanza:bounced',
  warning: 's2s:warning'
} as const satisfies Readonly<Record<keyof FederationEvents, string>>

/** Publishes one event on its channel, for tools that watch every engine of a process. */
export function publish<E extends keyof FederationEvents>(event: E, detail: FederationEvents[E]): void {
  const listeners = channel(CHANNELS[event])
  if (listeners.hasSubscribers) listeners.publish(detail)
}
