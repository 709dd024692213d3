import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { newFolder, ownAddress, startProcess } from './process.ts'
import type { Levels, PeerServer, ServerOptions, ServerVariant } from './server.ts'

/** A real Prosody on loopback. */
export interface Prosody extends PeerServer {
  readonly kind: 'prosody'
  /** One line for its admin shell, such as `s2s:show()`; gives what the shell prints. */
  shell(line: string): Promise<string>
  /** What its module of `modules/` wrote down: `got`, `sent` or `bounced`, each with the id of a message, in order. */
  ledger(): readonly (readonly [what: string, id: string])[]
}

const PORT = 5269
const DIRECT_PORT = 5270
const SHELL_DEADLINE = 20_000

export function prosodyIsPresent(): boolean {
  return spawnSync('prosodyctl', ['--help']).error === undefined && spawnSync('lua5.4', ['-e', 'require "lunbound"']).status === 0
}

/** Starts one and waits until it listens. */
export async function startProsody(options: ServerOptions): Promise<Prosody> {
  const folder = newFolder('prosody')
  const address = await ownAddress()
  for (const [host, { key, cert }] of Object.entries(options.hosts)) {
    folder.write(`${host}.key`, String(key))
    folder.write(`${host}.crt`, String(cert))
  }
  folder.write('authority.pem', options.authority)
  folder.write('data/none', '')
  folder.write('none/none', '')
  folder.write('ledger', '')
  folder.write('prosody.cfg.lua', configuration(options, { folder: folder.path, address }))
  const running = await startProcess({
    command: 'prosody',
    args: ['-F', '--config', folder.file('prosody.cfg.lua')],
    folder,
    logFile: 'prosody.log',
    // The last thing it does: every module is loaded, the shell's socket included.
    ready:
      options.verbose === false
        ? new RegExp(`Activated service 's2s' on \\[${address}\\]:${PORT}\\b`)
        : /Setting up net\.server event handling for ub_ctx/
  })
  const ask = (line: string): Promise<string> => shell(folder.file('prosody.cfg.lua'), line)
  return {
    kind: 'prosody',
    address,
    port: PORT,
    directPort: DIRECT_PORT,
    ...running,
    ping: async (from, to) => (await ask(`xmpp:ping("${from}", "${to}", 10)`)).includes('pong from'),
    levels: async (ours, theirs, after) => levelsIn(await ask(`s2s:show("${ours}")`), running.log().slice(after), ours, theirs),
    shell: ask,
    ledger: () => [...readFileSync(folder.file('ledger'), 'utf8').matchAll(/^(\S+) (\S*)$/gmu)].map(([, what = '', id = '']) => [what, id])
  }
}

/** Its streams are in the shell; that EXTERNAL or dialback came to an end is in the log. */
function levelsIn(shown: string, log: string, ours: string, theirs: string): Levels {
  const streams = shown.split('\n').flatMap(line => {
    const cells = line.split('|').map(cell => cell.trim())
    const [id = '', , direction, , , security = '', sasl] = cells
    if (!/^s2s(in|out)[0-9a-f]+$/.test(id)) return []
    const isOutgoing = direction === '<--'
    const [from, to] = isOutgoing ? [ours, theirs] : [theirs, ours]
    if (!log.includes(`s2s connection ${from}->${to} complete`)) return []
    const overTls = security.startsWith('TLS') ? 'tls-dialback' : 'plain-dialback'
    return [[isOutgoing ? 'outgoing' : 'incoming', sasl === 'Succeeded' ? 'sasl-external' : overTls] as const]
  })
  return Object.fromEntries(streams)
}

const SECURITY: Readonly<Record<ServerVariant, string>> = {
  strict: 's2s_require_encryption = true; s2s_secure_auth = true',
  default: 's2s_require_encryption = true; s2s_secure_auth = false',
  optional: 's2s_require_encryption = false; s2s_secure_auth = false',
  plain: 's2s_require_encryption = false; s2s_secure_auth = false; s2s_allow_encryption = false; modules_disabled = { "tls" }',
  nodialback: 's2s_require_encryption = true; s2s_secure_auth = true; modules_disabled = { "dialback" }'
}

function configuration(
  { variant, hosts, dns, nagle, verbose = true }: ServerOptions,
  at: { readonly folder: string; readonly address: string }
): string {
  const credentials = (host: string): string => `key = "${at.folder}/${host}.key"; certificate = "${at.folder}/${host}.crt"`
  const anyHost = Object.keys(hosts)[0] ?? 'none'
  const trust = `cafile = "${at.folder}/authority.pem"; capath = false`
  return `
run_as_root = true -- it refuses to run as root otherwise; no effect for other users
daemonize = false
data_path = "${at.folder}/data"
pidfile = "${at.folder}/prosody.pid"
admin_socket = "${at.folder}/shell.sock"
certificates = "${at.folder}/none"
plugin_paths = { "${fileURLToPath(new URL('modules', import.meta.url))}" }
ledger_file = "${at.folder}/ledger"
log = { { levels = { min = "${verbose ? 'debug' : 'info'}" }, to = "file", filename = "${at.folder}/prosody.log", timestamps = "%H:%M:%S" } }
network_backend = "epoll"
interfaces = { "${at.address}" }
local_interfaces = { "${at.address}" }
s2s_ports = { ${PORT} }
s2s_direct_tls_ports = { ${DIRECT_PORT} }
c2s_ports = {}
c2s_direct_tls_ports = {}
http_ports = {}
https_ports = {}
use_ipv6 = false
${nagle === undefined ? '' : `network_settings = { nagle = ${String(nagle)} }`}
-- libunbound answers "test." itself (RFC 6761) unless it is told to look elsewhere first
unbound = {
  resolvconf = false; hoststxt = false; forward = { "${dns.address}@${dns.port}" };
  options = { ["local-zone:"] = "test. transparent"; ["do-not-query-localhost:"] = "no"; ["cache-max-ttl:"] = "0"; ["cache-max-negative-ttl:"] = "0" };
}
ssl = { ${trust}; ${credentials(anyHost)} }
s2s_direct_tls_ssl = { ${trust}; ${credentials(anyHost)} }
modules_enabled = { "saslauth", "tls", "dialback", "disco", "ping", "admin_shell", "s2s_bidi", "smacks", "ledger", "echo" }
${SECURITY[variant]}
${Object.keys(hosts)
  .map(host => `VirtualHost "${host}"\n  ssl = { ${trust}; ${credentials(host)} }`)
  .join('\n')}
`
}

function shell(config: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('prosodyctl', ['--config', config, 'shell', line], { timeout: SHELL_DEADLINE }, (error, stdout, stderr) => {
      // An answer such as "error<cancel:remote-server-not-found…>" also ends prosodyctl with a failure: it is an answer all the same.
      if (error !== null && stdout === '' && !stderr.includes('error<'))
        reject(new Error(`prosodyctl shell ${line}: ${stderr}`, { cause: error }))
      else resolve(stdout + stderr)
    })
  })
}
