import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { newFolder, ownAddress, startProcess } from './process.ts'
import type { Levels, PeerServer, ServerOptions, ServerVariant } from './server.ts'

/** A real ejabberd on loopback. */
export interface Ejabberd extends PeerServer {
  readonly kind: 'ejabberd'
  /** Has a domain of its own send a stanza, addresses left out. */
  sendStanza(from: string, to: string, stanza: string): Promise<void>
}

const PORT = 5269
const DIRECT_PORT = 5270
const COMMAND_PORT = 5280
const LIBRARIES = '/usr/lib'

/** Where Debian puts the libraries of this machine's kind. */
function libraryFolder(): string | undefined {
  const { stdout, error } = spawnSync('dpkg-query', ['-L', 'ejabberd', 'libnss-wrapper'], { encoding: 'utf8' })
  if (error !== undefined) return undefined
  const [, folder] = /^(\S+)\/libnss_wrapper\.so$/mu.exec(stdout) ?? []
  return folder?.startsWith(LIBRARIES) === true && /\/ejabberd-[^/]+\/ebin\/ejabberd_s2s_out\.beam$/mu.test(stdout) ? folder : undefined
}

export function ejabberdIsPresent(): boolean {
  const folder = libraryFolder()
  return folder !== undefined && existsSync(folder) && spawnSync('erl', ['-version']).error === undefined
}

/** Starts one and waits until it listens. */
export async function startEjabberd(options: ServerOptions): Promise<Ejabberd> {
  const folder = newFolder('ejabberd')
  const address = await ownAddress()
  const libraries = libraryFolder() ?? LIBRARIES
  for (const [host, { key, cert }] of Object.entries(options.hosts)) folder.write(`${host}.pem`, String(key) + String(cert))
  folder.write('authority.pem', options.authority)
  folder.write('spool/none', '')
  folder.write('ejabberd.yml', configuration(options, { folder: folder.path, address }))
  // Its SRV lookups go through Erlang, its address lookups through the C library: each is told where to look.
  folder.write('inetrc', inetrc(options.dns))
  folder.write('hosts', Object.entries(options.names).map(([name, at]) => `${at} ${name}\n`).join('')) // prettier-ignore
  const running = await startProcess({
    command: 'erl',
    args: ['+K', 'true', '-noinput', '-mnesia', 'dir', `"${folder.file('spool')}"`, '-ejabberd', 'log_rotate_count', '0', '-s', 'ejabberd'],
    env: {
      HOME: folder.path,
      EJABBERD_CONFIG_PATH: folder.file('ejabberd.yml'),
      EJABBERD_LOG_PATH: folder.file('ejabberd.log'),
      ERL_INETRC: folder.file('inetrc'),
      ERL_LIBS: libraries,
      ERL_CRASH_DUMP: folder.file('crash'),
      LD_PRELOAD: `${libraries}/libnss_wrapper.so`,
      NSS_WRAPPER_HOSTS: folder.file('hosts')
    },
    folder,
    logFile: 'ejabberd.log',
    // In no order.
    ready: new RegExp(
      [PORT, DIRECT_PORT, COMMAND_PORT].map(port => `(?=[^]*Start accepting \\w+ connections at ${address}:${port} )`).join('')
    )
  })
  const commands = new Agent({ keepAlive: true, maxSockets: 4 })
  const sendStanza = (from: string, to: string, stanza: string): Promise<void> => command(commands, address, { from, to, stanza })
  let pings = 0
  return {
    kind: 'ejabberd',
    address,
    port: PORT,
    directPort: DIRECT_PORT,
    ...running,
    sendStanza,
    ping: async (from, to, arrival) => {
      pings += 1
      const id = `their-ping-${pings}`
      const after = running.log().length
      const arrived = arrival(id)
      await sendStanza(from, to, `<iq type='get' id='${id}'><query xmlns='jabber:iq:version'/></iq>`)
      const refused = `Failed to establish outbound s2s connection ${from} -> ${to}`
      // Some certificates are too much for it.
      const crashed = `<([\\d.]+)>@ejabberd_s2s_out:init\\S* Outbound s2s connection started: ${from} -> ${to}\\n[^]*?<\\1> terminating`
      const failed = running.logged(new RegExp(`${refused}|${crashed}`), after).then(() => false)
      const isThere = await Promise.race([arrived.then(() => true), failed])
      // Its log is written behind its back: this line comes after all that led to the ping.
      if (isThere) await running.logged(new RegExp(`Accepted outbound s2s \\w+ authentication ${from} -> ${to} `))
      failed.catch(() => undefined)
      return isThere
    },
    levels: (ours, theirs, after) => Promise.resolve(levelsIn(running.log().slice(after), ours, theirs)),
    stop: async () => {
      commands.destroy()
      await running.stop()
    }
  }
}

/** `(tls|<0.1.0>) Accepted inbound s2s EXTERNAL authentication engine.test -> ejabberd.test`: one line for each. */
function levelsIn(log: string, ours: string, theirs: string): Levels {
  const levels: Levels = {}
  const lines = log.matchAll(/\((\w+)\|<[\d.]+>\) Accepted (inbound|outbound) s2s (EXTERNAL|dialback) authentication (\S+) -> (\S+)/gu)
  for (const [, socket, direction, proof, from, to] of lines) {
    const isOutgoing = direction === 'inbound'
    if (from !== (isOutgoing ? ours : theirs) || to !== (isOutgoing ? theirs : ours)) continue
    const overTls = socket === 'tls' ? 'tls-dialback' : 'plain-dialback'
    levels[isOutgoing ? 'outgoing' : 'incoming'] = proof === 'EXTERNAL' ? 'sasl-external' : overTls
  }
  return levels
}

async function command(agent: Agent, address: string, body: Readonly<Record<string, string>>): Promise<void> {
  const asked = request({ agent, host: address, port: COMMAND_PORT, path: '/api/send_stanza', method: 'POST' })
  asked.end(JSON.stringify(body))
  const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  const text = await answer.setEncoding('utf8').reduce((all: string, part: string) => all + part, '')
  if (answer.statusCode !== 200) throw new Error(`ejabberd did not send a stanza: ${text}`)
}

function inetrc({ address, port }: { readonly address: string; readonly port: number }): string {
  const nameserver = `{nameserver,{${address.split('.').join(',')}},${port}}`
  return `{lookup,[file,dns]}.\nclear_ns.\n{resolv_conf,""}.\n${nameserver}.\n{cache_size,0}.\n`
}

const STARTTLS: Readonly<Record<ServerVariant, 'required' | 'optional' | 'false'>> = {
  strict: 'required',
  default: 'required',
  optional: 'optional',
  plain: 'false',
  nodialback: 'required'
}

/** It has no setting for "TLS, and a certificate that verifies" but to do without dialback. */
const HAS_DIALBACK: Readonly<Record<ServerVariant, boolean>> = {
  strict: false,
  default: true,
  optional: true,
  plain: true,
  nodialback: false
}

function configuration({ variant, hosts }: ServerOptions, at: { readonly folder: string; readonly address: string }): string {
  const names = Object.keys(hosts)
  const listener = `ip: "${at.address}", module: ejabberd_s2s_in, max_stanza_size: 524288, backlog: 256, shaper: none`
  return `
loglevel: info
log_rotate_count: 0
hosts: [${names.join(', ')}]
certfiles: [${names.map(name => `"${at.folder}/${name}.pem"`).join(', ')}]
ca_file: "${at.folder}/authority.pem"
s2s_cafile: "${at.folder}/authority.pem"
s2s_protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1]
s2s_dns_timeout: 5
s2s_dns_retries: 1
s2s_max_retry_delay: 1
s2s_use_starttls: ${STARTTLS[variant]}
outgoing_s2s_families: [ipv4]
acme: { auto: false }
auth_method: internal
listen:
  - { port: ${PORT}, ${listener} }
  - { port: ${DIRECT_PORT}, tls: true, ${listener} }
  - { port: ${COMMAND_PORT}, ip: "${at.address}", module: ejabberd_http, request_handlers: { /api: mod_http_api } }
api_permissions: { specs: { from: [mod_http_api], who: { ip: 127.0.0.0/8 }, what: [send_stanza] } }
modules: { mod_disco: {}, mod_ping: {}, mod_muc: {}, mod_admin_extra: {}${HAS_DIALBACK[variant] ? ', mod_s2s_dialback: {}' : ''} }
`
}
