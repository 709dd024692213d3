import { getServers } from 'node:dns'
import { isIP, isIPv4 } from 'node:net'
import { areTexts, shown, unusable, wrong } from '../rules/option-value.ts'

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
 * @param where what the list is called where it was given, for the message
 * @throws FederationError `S2S_CONFIG` naming what is no server
 */
export function readServers(servers: readonly string[] = getServers(), where = 'servers'): readonly Server[] {
  areTexts(servers, where)
  if (servers.length === 0) throw unusable(where, 'is empty: there is no DNS server to ask')
  return servers.map((each, index) => readServer(each, `${where}[${index}]`))
}

function readServer(text: string, where: string): Server {
  const [, address = text, port] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(isIP(text) === 0 ? text : '') ?? []
  const number = port === undefined ? PORT : Number(port)
  if (isIP(address) === 0 || number < 1 || number > 65_535) throw wrong(where, 'an address, with or without a port', shown(text))
  return { address, port: number, loopback: isLoopback(address) }
}

function isLoopback(address: string): boolean {
  return isIPv4(address) ? address.startsWith('127.') : address === '::1'
}

export function formatServer({ address, port }: Server): string {
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`
}
