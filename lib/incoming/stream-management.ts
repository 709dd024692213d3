import { ackError, judgeAck } from '../rules/stream-management.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_SM, NS_STANZA_ERRORS } from '../xml/namespaces.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import type { OpenStream } from './stage.ts'

/**
 * An element of stream management from the initiating entity (XEP-0198 §3, §4). What comes too early or twice is refused on a stream
 * that goes on. Streams are not resumed: no id is known here, and `<enabled/>` gives none.
 */
export function receiveManagement(frame: ElementFrame, { stream }: OpenStream, n: IncomingNegotiation): undefined {
  const { handled } = n.authenticated
  const { name } = frame
  if (name === 'enable' || name === 'resume') {
    const { streamManagement } = n.server.extensions
    if (!streamManagement || n.authenticated.size === 0 || handled.isEnabled) stream.write(failedXml('unexpected-request'))
    else if (name === 'resume') stream.write(failedXml('item-not-found'))
    else {
      stream.write(`<enabled xmlns='${NS_SM}'/>`)
      handled.enable(stream)
    }
  } else if (name === 'r' && handled.isEnabled) handled.acknowledge()
  else if (name === 'a' && handled.isEnabled) checkAck(frame)
  else throw n.refused('unsupported-stanza-type', 'stream management is not under way here')
}

/** We send no stanza on this stream: there is nothing to acknowledge but nothing. */
function checkAck(frame: ElementFrame): void {
  const none = { sent: 0, acknowledged: 0 }
  const error = ackError(judgeAck(frame.element().attrs['h'], none), none)
  if (error !== undefined) throw error
}

function failedXml(condition: string): string {
  return `<failed xmlns='${NS_SM}'><${condition} xmlns='${NS_STANZA_ERRORS}'/></failed>`
}
