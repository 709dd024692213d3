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

/**
 * Whom an address counts for: an IPv4 address alone, in whatever IPv6 form it is written (mapped, RFC 4291 §2.5.5.2; behind the well-known
 * prefix of NAT64, RFC 6052 §2.1); an IPv6 address with its /64, which is one customer's.
 */
export function addressGroup(address: string): string {
  const plain = address.split('%', 1)[0] ?? address
  if (!isIPv6(plain)) return plain
  const groups = groupsOf(plain)
  const hex = groups.map(group => group.toString(16))
  const [high = 0, low = 0] = groups.slice(6)
  if (HOLDS_IPV4.includes(hex.slice(0, 6).join(':'))) return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  return `${hex.slice(0, 4).join(':')}::/64`
}

const HOLDS_IPV4: readonly string[] = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0']

/** The eight numbers of an IPv6 address, the last two of which may be written as an IPv4 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.replace(/[\d.]+$/, last => (last.includes('.') ? inHex(last) : last)).split('::', 2)
  const read = (part: string): number[] => (part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16)))
  const [first, rest] = [read(head), read(tail ?? '')]
  return [...first, ...Array.from({ length: 8 - first.length - rest.length }, () => 0), ...rest]
}

function inHex(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}

/** Who takes turns with others: of IPv6 a /48, for who has one has 65536 networks; undefined: nobody knows the address. */
export function askerOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined
  const group = addressGroup(address)
  return group.endsWith('::/64') ? `${group.split(':').slice(0, 3).join(':')}::/48` : group
}
