import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Credentials, SocketAddress } from '../../lib/index.ts'

/**
 * strict: STARTTLS required, and a certificate that verifies. default: STARTTLS required, dialback for a certificate that does
 * not verify. optional: as default, but STARTTLS only when both can. plain: no TLS at all. nodialback: strict, and no dialback.
 */
export type ProsodyVariant = 'strict' | 'default' | 'optional' | 'plain' | 'nodialback'

export interface ProsodyOptions {
  readonly variant: ProsodyVariant
  /** What each of its domains shows the world. */
  readonly hosts: Readonly<Record<string, Credentials>>
  /** PEM: the only authority it trusts. */
  readonly authority: string
  /** The only DNS server it asks. */
  readonly dns: SocketAddress
  /** Whether every stanza is logged. Default true; with thousands of them, better not. */
  readonly verbose?: boolean
}

/** A real Prosody on loopback, with a configuration and data of its own in a temporary folder. */
export interface Prosody {
  readonly address: string
  /** STARTTLS. */
  readonly port: number
  /** TLS from the first byte. */
  readonly directPort: number
  /** All that it has logged. */
  log(): string
  /** The first match in the log from `after` on, waiting for it up to 20 seconds. */
  logged(pattern: RegExp, after?: number): Promise<RegExpExecArray>
  /** One line for its admin shell, such as `s2s:show()`; gives what the shell prints. */
  shell(line: string): Promise<string>
  /** What its module of `modules/` wrote down: `got`, `sent` or `bounced`, each with the id of a message, in order. */
  ledger(): readonly (readonly [what: string, id: string])[]
  /** Kills it without a word, and starts it again with the same configuration and ports. */
  restart(): Promise<void>
  stop(): Promise<void>
}

const ADDRESS = '127.0.0.1'
const LOG_DEADLINE = 20_000
const STOP_DEADLINE = 5_000

/**
 * Whether Prosody and its DNS library are installed. Where they are not, says so and skips the suite; with CI set it fails.
 */
export function needsProsody(suite: Mocha.Context): void {
  const present = spawnSync('prosodyctl', ['--help']).error === undefined && spawnSync('lua5.4', ['-e', 'require "lunbound"']).status === 0
  if (present) return
  const sentence = 'prosody and lua-unbound are not installed: npm run interop:install'
  if ((process.env['CI'] ?? '') !== '') throw new Error(sentence)
  console.log(`      (${sentence})`)
  suite.skip()
}

/** Starts one and waits until it listens. Nothing outside its temporary folder is read or written, `/etc` included. */
export async function startProsody(options: ProsodyOptions): Promise<Prosody> {
  const folder = mkdtempSync(join(tmpdir(), 'prosody-'))
  const [port, directPort] = [await freePort(), await freePort()]
  const file = (name: string): string => join(folder, name)
  for (const name of ['data', 'none']) mkdirSync(file(name))
  for (const [host, credentials] of Object.entries(options.hosts)) {
    writeFileSync(file(`${host}.key`), credentials.key)
    writeFileSync(file(`${host}.crt`), credentials.cert)
  }
  writeFileSync(file('authority.pem'), options.authority)
  writeFileSync(file('prosody.cfg.lua'), configuration(options, { folder, port, directPort }))
  writeFileSync(file('prosody.log'), '')

  writeFileSync(file('ledger'), '')

  const said: string[] = []
  let child = launch(folder, said)
  const log = (): string => readFileSync(file('prosody.log'), 'utf8')
  const logged = (pattern: RegExp, after = 0): Promise<RegExpExecArray> =>
    waitForLog(file('prosody.log'), () => pattern.exec(log().slice(after)), child, `${String(pattern)} was never logged`)
  const stop = async (): Promise<void> => {
    await ended(child)
    rmSync(folder, { recursive: true, force: true })
  }
  const started = async (after: number): Promise<void> => {
    await logged(new RegExp(`Activated service 's2s' on \\[${ADDRESS}\\]:${port}\\b`), after)
    // The last thing it does: every module is loaded, the shell's socket included.
    if (options.verbose !== false) await logged(/Setting up net\.server event handling for ub_ctx/, after)
  }
  const restart = async (): Promise<void> => {
    await ended(child, 'SIGKILL')
    const after = log().length
    child = launch(folder, said)
    await started(after)
  }
  const ledger = (): readonly (readonly [string, string])[] =>
    [...readFileSync(file('ledger'), 'utf8').matchAll(/^(\S+) (\S*)$/gmu)].map(([, what = '', id = '']) => [what, id])
  try {
    await started(0)
  } catch (cause) {
    const heard = said.join('') + log()
    await stop()
    throw new Error(`Prosody did not start:\n${heard}`, { cause })
  }
  return { address: ADDRESS, port, directPort, log, logged, shell: line => shell(file('prosody.cfg.lua'), line), ledger, restart, stop }
}

function launch(folder: string, said: string[]): ChildProcess {
  const child = spawn('prosody', ['-F', '--config', join(folder, 'prosody.cfg.lua')], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  // A run of specs that dies takes its servers with it.
  const takeAlong = (): void => void child.kill('SIGKILL')
  process.once('exit', takeAlong)
  child.once('exit', () => process.off('exit', takeAlong))
  for (const output of [child.stdout, child.stderr]) output.on('data', chunk => said.push(String(chunk)))
  return child
}

const SECURITY: Readonly<Record<ProsodyVariant, string>> = {
  strict: 's2s_require_encryption = true; s2s_secure_auth = true',
  default: 's2s_require_encryption = true; s2s_secure_auth = false',
  optional: 's2s_require_encryption = false; s2s_secure_auth = false',
  plain: 's2s_require_encryption = false; s2s_secure_auth = false; s2s_allow_encryption = false; modules_disabled = { "tls" }',
  nodialback: 's2s_require_encryption = true; s2s_secure_auth = true; modules_disabled = { "dialback" }'
}

function configuration(
  { variant, hosts, dns, verbose = true }: ProsodyOptions,
  at: { folder: string; port: number; directPort: number }
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
interfaces = { "${ADDRESS}" }
local_interfaces = { "${ADDRESS}" }
s2s_ports = { ${at.port} }
s2s_direct_tls_ports = { ${at.directPort} }
c2s_ports = {}
c2s_direct_tls_ports = {}
http_ports = {}
https_ports = {}
use_ipv6 = false
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

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, ADDRESS, () => {
      const at = server.address()
      server.close(() => {
        if (at === null || typeof at === 'string') reject(new Error('no port'))
        else resolve(at.port)
      })
    })
  })
}

function waitForLog(file: string, look: () => RegExpExecArray | null, child: ChildProcess, sentence: string): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const settle = (run: () => void): void => {
      clearTimeout(timer)
      watcher.close()
      child.off('exit', gone)
      run()
    }
    const check = (): void => {
      const found = look()
      if (found !== null)
        settle(() => {
          resolve(found)
        })
    }
    const fail = (why: string): void => {
      settle(() => {
        reject(new Error(`${sentence}: ${why}`))
      })
    }
    const gone = (): void => {
      fail('Prosody ended')
    }
    const watcher = watch(file, check)
    const timer = setTimeout(() => {
      fail(`not in ${LOG_DEADLINE} ms; the log ends:\n${readFileSync(file, 'utf8').slice(-4000)}`)
    }, LOG_DEADLINE)
    child.once('exit', gone)
    check()
  })
}

function shell(config: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('prosodyctl', ['--config', config, 'shell', line], { timeout: LOG_DEADLINE }, (error, stdout, stderr) => {
      // An answer such as "Error: remote-server-not-found" also ends prosodyctl with a failure: it is an answer all the same.
      if (error !== null && stdout === '') reject(new Error(`prosodyctl shell ${line}: ${stderr}`, { cause: error }))
      else resolve(stdout)
    })
  })
}

function ended(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve()
      return
    }
    const insist = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE)
    child.once('exit', () => {
      clearTimeout(insist)
      resolve()
    })
    child.kill(signal)
  })
}
