import { execFileSync, spawnSync } from 'node:child_process'
import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import type { Server, TLSSocket } from 'node:tls'
import { buildCertificate, newKey, pemOf } from '../../lib/testing/certificate-builder.ts'
import type { Chain } from './world.ts'
import { HOUR, NOW } from './world.ts'

/** What the initiating entity of a handshake saw. */
export interface Seen {
  /** OpenSSL's verdict in the client role, through Node: nothing, or the reason. Names are left to us. */
  readonly refused: string | undefined
  /** The chain as captured. */
  readonly chain: readonly Buffer[]
}

// Level 0 lets weak certificates be presented. The judging side wants keys and hashes as strong as our judge does.
const PRESENTING = 'DEFAULT@SECLEVEL=0'
const JUDGING = 'DEFAULT@SECLEVEL=2'

/** Presents the chain as a server over loopback, to a client that trusts the chain's anchors. */
export async function presentAsServer(one: Chain): Promise<Seen> {
  const server = createServer({ ...credentials(one), ciphers: PRESENTING }, socket => socket.on('error', () => undefined).resume())
  const client = connect({
    ...(await listening(server)),
    ca: [...one.anchors],
    ciphers: JUDGING,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined
  })
  try {
    await once(client, 'secureConnect')
    // Read before anything else asks for the peer's certificate.
    const chain = captured(client)
    return { refused: client.authorized ? undefined : String(client.authorizationError), chain }
  } finally {
    client.on('error', () => undefined).destroy()
    server.close()
  }
}

/** Presents the chain as a client over loopback; what the server captured. */
export async function presentAsClient(one: Chain): Promise<readonly Buffer[]> {
  const own = newKey()
  const cert = buildCertificate({
    subject: 'server',
    publicKey: own.publicKey,
    signingKey: own.privateKey,
    notBefore: NOW,
    notAfter: NOW + HOUR
  }).pem
  const server = createServer({ key: pkcs8(own.privateKey), cert, ciphers: PRESENTING, requestCert: true, rejectUnauthorized: false })
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const client = connect({ ...(await listening(server)), ...credentials(one), ciphers: PRESENTING, rejectUnauthorized: false })
  client.on('error', () => undefined)
  try {
    const [socket] = await accepted
    socket.on('error', () => undefined)
    return captured(socket)
  } finally {
    client.destroy()
    server.close()
  }
}

function credentials(one: Chain): { readonly cert: string; readonly key: string } {
  if (one.key === undefined) throw new Error(`${one.name} is not for handshakes`)
  return { cert: one.presented.map(pemOf).join(''), key: pkcs8(one.key) }
}

function pkcs8(key: KeyObject): string {
  return String(key.export({ type: 'pkcs8', format: 'pem' }))
}

async function listening(server: Server): Promise<{ readonly host: string; readonly port: number }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { host: '127.0.0.1', port }
}

function captured(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = []
  for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) chain.push(one.raw)
  return chain
}

/** Whether there is an `openssl` command, and which. */
export function opensslVersion(): string | undefined {
  const { status, stdout } = spawnSync('openssl', ['version'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** The verdict of `openssl verify -purpose sslserver`: nothing, or the reasons. */
export function verifyByCommand(one: Chain): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'pki-'))
  try {
    const [leaf = Buffer.alloc(0), ...others] = one.presented
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const trusted = write('anchors.pem', one.anchors.join(''))
    const untrusted = write('others.pem', others.map(pemOf).join(''))
    const args = ['verify', '-purpose', 'sslserver', '-no-CApath', '-no-CAstore', '-auth_level', '2', '-CAfile', trusted]
    if (others.length > 0) args.push('-untrusted', untrusted)
    execFileSync('openssl', [...args, write('leaf.pem', pemOf(leaf))], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    return [...said.matchAll(/lookup: (.*)/g)].map(match => match[1]).join('; ') || said.trim()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
