import { isIPv6 } from 'node:net'

/** Counts what is in use under each key, up to a bound. */
export class Quota {
  readonly #most: number
  readonly #used = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  isFull(key: string): boolean {
    return (this.#used.get(key) ?? 0) >= this.#most
  }

  take(key: string): void {
    this.#used.set(key, (this.#used.get(key) ?? 0) + 1)
  }

  release(key: string): void {
    const left = (this.#used.get(key) ?? 0) - 1
    if (left > 0) this.#used.set(key, left)
    else this.#used.delete(key)
  }
}

/** Takes one of each of several quotas, or of none. `undefined`: one of them is full. */
export function takeAll(wanted: readonly (readonly [Quota, string])[]): (() => void) | undefined {
  if (wanted.some(([quota, key]) => quota.isFull(key))) return undefined
  for (const [quota, key] of wanted) quota.take(key)
  let held = true
  return () => {
    if (!held) return
    held = false
    for (const [quota, key] of wanted) quota.release(key)
  }
}

/** Whom an address counts for: an IPv4 address alone, mapped ones too; an IPv6 address with its /64, which is one customer's. */
export function addressGroup(address: string): string {
  const plain = address.split('%', 1)[0] ?? address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::', 2)
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.reduce((count, group) => count + (group.includes('.') ? 2 : 1), 0)
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...rest]
  return `${all
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

/** Who takes turns with others: of IPv6 a /48, for who has one has 65536 networks; undefined: nobody knows the address. */
export function askerOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined
  const group = addressGroup(address)
  return group.endsWith('::/64') ? `${group.split(':').slice(0, 3).join(':')}::/48` : group
}
