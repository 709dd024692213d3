import { inspect } from 'node:util'
import type { CertificateVerdict } from '../model/certificate.ts'
import { weakest } from '../model/level.ts'
import type { Direction, SecurityLevel } from '../model/level.ts'
import type { Link, LinkPicture } from '../model/link.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { TlsFacts } from '../model/stream.ts'

/** A link that shows what it is, and nothing of what it is made of, to whoever prints or serialises it. */
export abstract class ShownLink implements Link {
  abstract readonly id: string
  abstract readonly direction: Direction
  abstract readonly since: number
  abstract readonly tls?: TlsFacts
  abstract readonly certificate?: CertificateVerdict
  abstract readonly pairs: readonly PairStatus[]
  abstract readonly report: Report

  get level(): SecurityLevel {
    return lowestLevel(this.pairs) ?? 'plain-dialback'
  }

  abstract close(reason?: string): Promise<void>

  toJSON(): LinkPicture {
    const { id, direction, level, since, pairs, tls, certificate } = this
    return {
      id,
      direction,
      level,
      since,
      pairs,
      ...(tls === undefined ? {} : { tls }),
      ...(certificate === undefined ? {} : { certificate })
    }
  }

  [inspect.custom](): LinkPicture {
    return this.toJSON()
  }
}

/** Whether a certificate is what some pair's peer is known by. */
export function isCertified(pairs: readonly PairStatus[]): boolean {
  return pairs.some(({ peerIdentity }) => peerIdentity !== 'dns')
}

/** What a set of pairs is worth: its lowest level. */
export function lowestLevel(pairs: readonly PairStatus[]): SecurityLevel | undefined {
  return pairs
    .map(each => each.level)
    .reduce<SecurityLevel | undefined>((lowest, level) => (lowest === undefined ? level : weakest(lowest, level)), undefined)
}
