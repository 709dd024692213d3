import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * Whether an address is one that DNS must not make us dial: whoever is spoken to chooses the names that are resolved, and could
 * point them into our own network ([SEC-SSRF-a]). Loopback, private, link-local, carrier-grade NAT, multicast and reserved
 * addresses, and whatever carries one of them inside. Addresses for documentation lead nowhere and are let through.
 */
export function isForbiddenAddress(address: string): boolean {
  if (isIPv4(address)) return RESERVED_4.check(address)
  // An interface name behind it makes an address link-local.
  if (!isIPv6(address) || address.includes('%')) return true
  const groups = groupsOf(address)
  // RFC 6052 §2.1: a translator behind the well-known prefix passes on to the IPv4 address in the last 32 bits.
  if (groups.slice(0, 6).join(':') === '100:65435:0:0:0:0') return RESERVED_4.check(ipv4Of(groups[6], groups[7]))
  if (groups[0] === 0x2002) return RESERVED_4.check(ipv4Of(groups[1], groups[2]))
  return !GLOBAL_6.check(address, 'ipv6') || RESERVED_6.check(address, 'ipv6')
}

function blockList(family: 'ipv4' | 'ipv6', subnets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network, prefix] = subnet.split('/')
    list.addSubnet(network ?? '', Number(prefix), family)
  }
  return list
}

/** RFC 6890 and the IANA registry of special-purpose addresses, without those for documentation. */
const RESERVED_4 = blockList('ipv4', [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4'
])

/** RFC 4291 §2.4: everything else is loopback, local, multicast, mapped, or not yet anything. */
const GLOBAL_6 = blockList('ipv6', ['2000::/3'])
/** Teredo, benchmarking, ORCHID and the rest of the IETF's own block, which holds no hosts. */
const RESERVED_6 = blockList('ipv6', ['2001::/23'])

function groupsOf(address: string): readonly number[] {
  // The URL parser writes a dotted tail as two groups.
  const [head, tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const [front, back] = [head, tail].map(part =>
    part === undefined || part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16))
  )
  if (front === undefined || back === undefined || tail === undefined) return front ?? []
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

function ipv4Of(high = 0, low = 0): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
