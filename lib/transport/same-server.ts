import { isIPv6 } from 'node:net'
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

/** The same text for the same server: address, however it is written, port and kind of TLS. */
export function serverKey({ address, endpoint: { port, tls } }: Server): string {
  return `${canonical(address)} ${port} ${tls}`
}

/** An address with a zone stays as it is written: it has a meaning on this machine only. */
function canonical(address: string): string {
  return isIPv6(address) && !address.includes('%') ? new URL(`http://[${address}]`).hostname : address
}
