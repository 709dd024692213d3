import type { Domain } from '../model/domain.ts'
import { strongest } from '../model/level.ts'
import type { Direction, SecurityLevel } from '../model/level.ts'
import type { Guard, Peer } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { checkKeys, hasMethods, objectAt, oneOf } from '../rules/option-value.ts'

/** Where a {@link ratchet} keeps the best level that each remote domain was seen at, in each direction. A file or a table outlives a restart. */
export interface RatchetMemory {
  get(remote: Domain, direction: Direction): SecurityLevel | undefined
  set(remote: Domain, direction: Direction, level: SecurityLevel): void
}

/** What {@link ratchet} takes. */
export interface RatchetOptions {
  /** `encryption`: whoever was encrypted once is never met in clear again. `level`: nobody falls below a level once reached. Default `encryption`. */
  readonly hold?: 'encryption' | 'level'
  /** Default: in the process, for the first 100,000 domains. */
  readonly memory?: RatchetMemory
}

/**
 * Never lets a remote domain fall back: what it showed once, it has to show from then on, in that direction. Against an attacker on
 * the network who strips TLS, or answers for DNS, after both servers have met; it does not help at the first meeting. A domain that
 * gives up TLS on purpose is refused until the memory forgets it.
 *
 * @throws FederationError `S2S_CONFIG` for an option that is not usable
 */
export function ratchet(options: RatchetOptions = {}): Guard {
  const { hold, memory } = checked(options)
  const because = (level: SecurityLevel): string => `${level} was reached with this domain before`
  const kept = (peer: Peer): SecurityLevel | undefined => {
    const level = peer.remote === undefined ? undefined : memory.get(peer.remote, peer.direction)
    return level === 'plain-dialback' ? undefined : level
  }
  return Object.freeze({
    kind: 'guard' as const,
    name: 'ratchet',
    tls: peer => {
      const level = kept(peer)
      return level === undefined ? undefined : { answer: 'required', because: because(level) }
    },
    plain: peer => {
      const level = kept(peer)
      return level === undefined ? undefined : { answer: 'refuse', because: because(level) }
    },
    minimumLevel: peer => (hold === 'level' && peer.purpose === 'stanzas' ? kept(peer) : undefined),
    learn: ({ pair, flow, level }: PairStatus): void => {
      const [remote, direction] = flow === 'send' ? ([pair.target, 'outgoing'] as const) : ([pair.sender, 'incoming'] as const)
      const before = memory.get(remote, direction)
      const best = before === undefined ? level : strongest(before, level)
      if (best !== before) memory.set(remote, direction, best)
    }
  } satisfies Guard)
}

const MOST = 100_000

function checked(options: RatchetOptions): Required<RatchetOptions> {
  checkKeys(objectAt(options, 'ratchet: options'), ['hold', 'memory'], 'ratchet: options')
  const { hold = 'encryption', memory = inProcess() } = options
  oneOf('encryption', 'level')(hold, 'ratchet: options.hold')
  hasMethods('get', 'set')(memory, 'ratchet: options.memory')
  return { hold, memory }
}

/** What is known stays when the room is used up: whoever has many domains must not be able to make us forget the others. */
function inProcess(): RatchetMemory {
  const levels = new Map<string, SecurityLevel>()
  return {
    get: (remote, direction) => levels.get(`${direction} ${remote}`),
    set(remote, direction, level) {
      const key = `${direction} ${remote}`
      if (levels.size < 2 * MOST || levels.has(key)) levels.set(key, level)
    }
  }
}
