import type { CertificateState } from '../../lib/model/certificate.ts'
import type { LadderOptions, Policy } from '../../lib/model/policy.ts'
import type { Side } from '../../lib/model/side.ts'
import { policies } from '../../lib/policy/presets.ts'
import { CERTIFICATE_STATES } from '../../lib/testing/certificates.ts'

const STATES = Object.keys(CERTIFICATE_STATES) as CertificateState[]
export const PRESETS = ['ladder', 'openfire36', 'encrypted', 'strict'] as const
export type Preset = (typeof PRESETS)[number]
const TLS = ['never', 'when-offered', 'required'] as const
const ROLES = ['initiates', 'receives'] as const

/** One combination of the matrix: a preset against a peer whose kinds of TLS and dialback vary. */
export interface Row {
  readonly text: string
  readonly preset: Preset
  readonly role: (typeof ROLES)[number]
  readonly initiator: Side
  readonly receiver: Side
  /** The values of the six factors, for the choice of pairs. */
  readonly factors: readonly string[]
}

/** Every state on one side at a time and on both × dialback of either side × presets × the peer's TLS × both directions. */
export function allRows(): readonly Row[] {
  const pairs = new Map<string, readonly [CertificateState, CertificateState]>()
  for (const state of STATES)
    for (const pair of [
      [state, 'valid'],
      ['valid', state],
      [state, state]
    ] as const)
      pairs.set(pair.join(), pair)
  const rows: Row[] = []
  for (const preset of PRESETS)
    for (const role of ROLES)
      for (const [own, peers] of pairs.values())
        for (const dialback of [true, false])
          for (const peersDialback of [true, false])
            for (const tls of TLS) rows.push(row(preset, role, own, peers, dialback, peersDialback, tls))
  return rows
}

function row(
  preset: Preset,
  role: Row['role'],
  own: CertificateState,
  peers: CertificateState,
  dialback: boolean,
  peersDialback: boolean,
  tls: (typeof TLS)[number]
): Row {
  const us: Side = { policy: presetWith(preset, dialback), certificate: own }
  const them: Side = {
    policy: policies.ladder({ tls, invalidCertificate: 'encrypt-only', dialback: peersDialback ? 'always' : 'never' }),
    certificate: peers
  }
  const text = `${preset} ${role}, certificate ${own}, dialback ${onOff(dialback)}; peer: certificate ${peers}, dialback ${onOff(peersDialback)}, TLS ${tls}`
  const sides = role === 'initiates' ? { initiator: us, receiver: them } : { initiator: them, receiver: us }
  return { text, preset, role, ...sides, factors: [preset, role, own, peers, onOff(dialback), onOff(peersDialback), tls] }
}

function onOff(is: boolean): string {
  return is ? 'on' : 'off'
}

/** "On" is as much dialback as the preset can have: `strict` lets it be allowed, and its floor still refuses it. */
function presetWith(preset: Preset, dialback: boolean): Policy {
  const options: Pick<LadderOptions, 'dialback'> = dialback ? (preset === 'strict' ? { dialback: 'always' } : {}) : { dialback: 'never' }
  return policies[preset](options)
}

/** About `most` rows in which every value of one factor meets every value of each other at least once, wherever a row has both. */
export function pairwise(rows: readonly Row[], most: number): readonly Row[] {
  const open = new Set(rows.flatMap(pairsOf))
  const left = shuffled(rows)
  const chosen: Row[] = []
  while (open.size > 0) {
    let best: Row | undefined
    let bestCount = 0
    for (const candidate of left) {
      const count = pairsOf(candidate).filter(pair => open.has(pair)).length
      if (count > bestCount) [best, bestCount] = [candidate, count]
    }
    if (best === undefined) break
    for (const pair of pairsOf(best)) open.delete(pair)
    left.splice(left.indexOf(best), 1)
    chosen.push(best)
  }
  return [...chosen, ...left.slice(0, Math.max(0, most - chosen.length))]
}

function pairsOf({ factors }: Row): readonly string[] {
  return factors.flatMap((one, i) => factors.slice(i + 1).map((other, j) => `${i}=${one} ${i + 1 + j}=${other}`))
}

/** The same order in every run: a row that fails can be found again. */
function shuffled(rows: readonly Row[]): Row[] {
  let state = 0x2545f491
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  return rows
    .map(each => ({ each, rank: next() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ each }) => each)
}
