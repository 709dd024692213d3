import { getServers } from 'node:dns'
import { isIP, isIPv4 } from 'node:net'
import { FederationError } from '../errors.ts'

export interface Server {
  readonly address: string
  readonly port: number
  /** Whether its word counts that an answer was authenticated: the way to it is our own host's. */
  readonly loopback: boolean
}

const PORT = 53

/**
 * Reads `198.51.100.53`, `198.51.100.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
 *
 * @param servers default: those of the operating system
 * @throws FederationError `S2S_CONFIG` naming what is no server
 */
export function readServers(servers: readonly string[] = getServers()): readonly Server[] {
  if (servers.length === 0) throw new FederationError('S2S_CONFIG', { detail: 'servers: there is no DNS server to ask' })
  return servers.map(readServer)
}

function readServer(text: string): Server {
  const [, address = text, port] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(isIP(text) === 0 ? text : '') ?? []
  const number = port === undefined ? PORT : Number(port)
  if (isIP(address) === 0 || number < 1 || number > 65_535)
    throw new FederationError('S2S_CONFIG', { detail: `servers: ${JSON.stringify(text)} is not an address and port` })
  return { address, port: number, loopback: isLoopback(address) }
}

function isLoopback(address: string): boolean {
  return isIPv4(address) ? address.startsWith('127.') : address === '::1'
}

export function formatServer({ address, port }: Server): string {
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`
}
