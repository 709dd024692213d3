import { BlockList, isIPv6 } from 'node:net'
import type { Endpoint } from '../model/endpoint.ts'
import { dialable } from './race.ts'
import type { DialOptions } from './race.ts'

/** One address that an endpoint leads to. */
export interface Server {
  readonly endpoint: Endpoint
  readonly address: string
}

/**
 * Every server that a connection to one of these endpoints could reach. A host whose addresses cannot be had, or must not be
 * dialled, reaches none. Never rejects.
 */
export async function serversOf(endpoints: readonly Endpoint[], by: Omit<DialOptions, 'transport' | 'clock'>): Promise<readonly Server[]> {
  const found = await Promise.all(
    endpoints.map(async endpoint => {
      const addresses = await dialable(endpoint, by).catch(() => [])
      return addresses.map(({ address }) => ({ endpoint, address }))
    })
  )
  return found.flat()
}

/** Whether two are one: the same port, the same kind of TLS and the same address, however it is written. */
export function isSameServer(a: Server, b: Server): boolean {
  return a.endpoint.port === b.endpoint.port && a.endpoint.tls === b.endpoint.tls && isSameAddress(a.address, b.address)
}

function isSameAddress(a: string, b: string): boolean {
  if (a === b) return true
  // A scoped address has a zone that no list takes; written otherwise it is another.
  if (a.includes('%') || b.includes('%')) return false
  const list = new BlockList()
  list.addAddress(a, familyOf(a))
  return list.check(b, familyOf(b))
}

function familyOf(address: string): 'ipv6' | 'ipv4' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}
