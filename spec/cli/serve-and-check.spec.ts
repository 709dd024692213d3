import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createElement } from 'ltx'
import type { Element } from 'ltx'
import { createFederation, dnsResolver, domain, policies } from '../../lib/index.ts'
import type { Federation, Report, Stanza } from '../../lib/index.ts'
import { startDnsServer } from '../../lib/testing/index.ts'
import type { DnsServer } from '../../lib/testing/index.ts'
import { begin, run } from './process.ts'
import type { Run, Running } from './process.ts'

const LOOPBACK = '127.0.0.1'

describe('serve and check, as two processes', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'xmpp-federation-'))
  })
  let dns: DnsServer
  let served: Running
  /** Where the checking side listens, whenever it does: what DNS says is remembered for a while. */
  let port: number

  before(async () => {
    dns = await startDnsServer()
    port = await freePort()
    publish('checking.example', port)
    const states = ['--state', 'valid', '--state', 'self-signed', '--state', 'expired']
    await run('certs', folder, '--domain', 'checking.example', '--domain', 'served.example', '--domain', 'severe.example', ...states)
    writeFileSync(join(folder, 'serve.json'), JSON.stringify(config()))
    served = begin('serve', '--config', join(folder, 'serve.json'), '--json')
    const { listening } = JSON.parse(await served.line()) as { listening: readonly { port: number; tls: string }[] }
    assert.deepEqual(
      listening.map(({ tls }) => tls),
      ['starttls']
    )
    for (const name of ['served.example', 'clear.example']) publish(name, listening[0]?.port ?? 0)
  })

  after(async () => {
    await served.end()
    await dns.close()
    rmSync(folder, { recursive: true })
  })

  const config = (): object => ({
    domains: { 'served.example': { cert: 'served.example.pem', key: 'served.example.key' }, 'clear.example': null },
    listen: [{ host: LOOPBACK, port: 0 }],
    resolver: { servers: [`${dns.address}:${dns.port}`], allowPrivateAddresses: true },
    trust: { default: ['ca.pem'] },
    policy: { preset: 'ladder', options: { acceptSelfSigned: true } },
    echo: true
  })

  const publish = (name: string, at: number): void => dns.zone.server(name, { addresses: [LOOPBACK], port: at })

  const check = async (target: string, ...more: readonly string[]): Promise<Run> => {
    const where = ['--resolver', `${dns.address}:${dns.port}`, '--listen', `${LOOPBACK}:${port}`, '--allow-private']
    return await run('check', target, '--from', 'checking.example', ...where, '--ca', join(folder, 'ca.pem'), ...more)
  }

  const credentials = (state = ''): readonly string[] => {
    const base = join(folder, `checking.example${state}`)
    return ['--cert', `${base}.pem`, '--key', `${base}.key`]
  }

  it('reaches sasl-external when both certificates verify', async () => {
    const { code, stdout, stderr } = await check('served.example', ...credentials())
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^checking\.example → served\.example: sasl-external\n/)
    assert.match(stdout, /resolve +SRV _xmpp-server\._tcp\.served\.example/)
  })

  it('reaches tls-dialback without a certificate of its own, called back by the server', async () => {
    const { code, stdout } = await check('served.example')
    assert.equal(code, 0)
    assert.match(stdout, /^checking\.example → served\.example: tls-dialback\n/)
  })

  it('reaches tls-dialback with a self-signed certificate that the server accepts for encryption', async () => {
    const { code, stdout } = await check('served.example', ...credentials('.self-signed'))
    assert.equal(code, 0)
    assert.match(stdout, /^checking\.example → served\.example: tls-dialback\n/)
  })

  it('reaches plain-dialback where there is no TLS, and says that this is not encrypted', async () => {
    const { code, stdout } = await check('clear.example', ...credentials())
    assert.equal(code, 0)
    assert.match(stdout, /^checking\.example → clear\.example: plain-dialback\n/)
    assert.match(stdout, /This link is NOT encrypted/)
  })

  it('reaches none, and fails, where policy wants more than there is', async () => {
    const { code, stdout } = await check('clear.example', '--policy', 'encrypted')
    assert.equal(code, 1)
    assert.match(stdout, /^checking\.example → clear\.example: none\n/)
  })

  it('takes the options of a policy', async () => {
    const { code, stdout } = await check('served.example', ...credentials(), '--option', 'external=false', '--json')
    const report = JSON.parse(stdout) as Report
    assert.deepEqual([code, report.level, report.policy.options?.external], [0, 'tls-dialback', false])
  })

  it('is confirmed by the running servers of its domain, where it has their secret, and by nobody where it has another', async () => {
    for (const name of ['secret', 'another']) writeFileSync(join(folder, name), `${randomBytes(24).toString('hex')}\n`)
    const kept = { ...config(), domains: { 'kept.example': null }, dialbackSecret: { current: 'secret' } }
    writeFileSync(join(folder, 'kept.json'), JSON.stringify(kept))
    const keeper = begin('serve', '--config', join(folder, 'kept.json'), '--json')
    try {
      const { listening } = JSON.parse(await keeper.line()) as { listening: readonly { port: number }[] }
      publish('kept.example', listening[0]?.port ?? 0)
      const where = ['--resolver', `${dns.address}:${dns.port}`, '--allow-private', '--ca', join(folder, 'ca.pem')]
      const asked = (file: string): Promise<Run> =>
        run('check', 'served.example', '--from', 'kept.example', '--secret', join(folder, file), ...where)
      const shared = await asked('secret')
      assert.deepEqual([shared.code, shared.stderr], [0, ''])
      assert.match(shared.stdout, /^kept\.example → served\.example: tls-dialback\n/)
      const { code, stdout } = await asked('another')
      assert.equal(code, 1)
      assert.match(stdout, /Our key was not confirmed: the servers of kept\.example have to be running, with the secret of --secret\.\n$/)
    } finally {
      await keeper.end()
    }
  })

  it('explains a report that was saved, and says where another policy would have ended', async () => {
    const file = join(folder, 'report.json')
    const { stdout: saved } = await check('clear.example', ...credentials(), '--json')
    writeFileSync(file, saved)
    const told = await run('explain', file)
    assert.equal(told.code, 0)
    assert.match(told.stdout, /^checking\.example → clear\.example: plain-dialback\n/)
    assert.match(told.stdout, /This link is NOT encrypted\. It would take a peer that offers TLS\.\n$/)
    const encrypted = await run('explain', file, '--policy', 'encrypted')
    assert.equal(encrypted.code, 1)
    // STARTTLS is asked for even where it is not offered: what would have been said to that was not seen.
    assert.match(encrypted.stdout.slice(told.stdout.length), /^Under encrypted nobody knows: how TLS would have gone, at [\w.:]+\.\n$/)
    const never = await run('explain', file, '--option', 'dialback=never')
    assert.deepEqual([never.code, never.stdout], [1, `${told.stdout}Under ladder it ends at none.\n`])
    const again = await run('explain', file, '--json', '--option', 'dialback=always')
    assert.deepEqual([again.code, JSON.parse(again.stdout)], [0, { level: 'plain-dialback', notes: [] }])
  })

  it('says before it dials that its own certificate does not verify', async () => {
    const { stderr } = await check('served.example', ...credentials('.expired'), '--policy', 'encrypted')
    assert.match(stderr, /^--cert does not verify here: expired on \d{4}-[^\n]*\n/)
  })

  it('says that nobody was listening for the call back', async () => {
    const where = ['--resolver', `${dns.address}:${dns.port}`, '--allow-private', '--ca', join(folder, 'ca.pem')]
    const { code, stdout, stderr } = await run('check', 'served.example', '--from', 'checking.example', ...where)
    assert.equal(code, 1)
    assert.equal(
      stderr,
      'Only dialback is left, and nobody listens here for its call back: the peer will hardly answer. See --listen and --secret.\n'
    )
    assert.match(stdout, /Nobody was listening for the call back of dialback here: see --listen and --secret\.\n$/)
  })

  it('does not speak of dialback where a certificate is enough, or where dialback is not wanted', async () => {
    const where = ['--resolver', `${dns.address}:${dns.port}`, '--allow-private', '--ca', join(folder, 'ca.pem')]
    for (const more of [credentials(), ['--policy', 'strict']]) {
      const { stderr } = await run('check', 'served.example', '--from', 'checking.example', ...where, ...more)
      assert.equal(stderr, '')
    }
  })

  it('says that nobody called back, where DNS leads elsewhere', async () => {
    const elsewhere = ['--resolver', `${dns.address}:${dns.port}`, '--listen', `${LOOPBACK}:0`, '--allow-private']
    const { code, stdout } = await run(
      'check',
      'served.example',
      '--from',
      'checking.example',
      ...elsewhere,
      '--ca',
      join(folder, 'ca.pem')
    )
    assert.equal(code, 1)
    const sentence = 'the peer cannot reach it, or finds other servers for checking.example in DNS.'
    assert.equal(stdout.trimEnd().split('\n').at(-1), `Nobody called back at ${LOOPBACK}:0: ${sentence}`)
  })

  it('says what the call back came to, where it did not come to a confirmed key', async () => {
    const pem = (name: string): string => readFileSync(join(folder, name), 'utf8')
    const severe = createFederation({
      domains: { 'severe.example': { cert: pem('severe.example.pem'), key: pem('severe.example.key') } },
      policy: policies.encrypted(),
      listen: [{ host: LOOPBACK, port: 0 }],
      resolver: dnsResolver({ servers: [`${dns.address}:${dns.port}`] }),
      trust: { default: [pem('ca.pem')] },
      allowPrivateAddresses: true,
      onStanza: () => undefined
    })
    await severe.start()
    try {
      publish('severe.example', severe.addresses[0]?.port ?? 0)
      const { code, stdout } = await check('severe.example')
      assert.equal(code, 1)
      assert.deepEqual(stdout.trimEnd().split('\n').slice(-2), [
        'The call back of dialback came to nothing here: ' +
          'The stream was ended with an error because of what the peer sent: TLS was asked for where there is none.',
        'Without --cert and --key no TLS is offered to who calls back.'
      ])
      const withCertificate = await check('severe.example', ...credentials('.self-signed'))
      assert.match(withCertificate.stdout, /^checking\.example → severe\.example: tls-dialback\n/)
    } finally {
      await severe.stop()
    }
  })

  it('says that a domain has no server', async () => {
    const { code, stdout } = await check('nowhere.example')
    assert.equal(code, 1)
    assert.match(stdout, /^checking\.example → nowhere\.example: none\n/)
  })

  it('logs each link with its pairs and levels', () => {
    const lines = served.stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as Readonly<Record<string, unknown>>)
    const levels = lines
      .filter(({ msg }) => String(msg).startsWith('pair authenticated'))
      .map(({ sender, target, level }) => [sender, target, level])
    assert.deepEqual(levels.slice(0, 2), [
      ['checking.example', 'served.example', 'sasl-external'],
      ['checking.example', 'served.example', 'tls-dialback']
    ])
    assert.ok(levels.some(([, target, level]) => target === 'clear.example' && level === 'plain-dialback'))
  })

  describe('to a server that has stanzas to send', () => {
    let federation: Federation
    const arrived: Stanza[] = []
    const waiting: (() => void)[] = []

    before(async () => {
      federation = createFederation({
        domains: { 'asking.example': undefined },
        listen: [{ host: LOOPBACK, port: 0 }],
        resolver: dnsResolver({ servers: [`${dns.address}:${dns.port}`] }),
        trust: { default: [readFileSync(join(folder, 'ca.pem'), 'utf8')] },
        allowPrivateAddresses: true,
        onStanza: stanza => {
          arrived.push(stanza)
          waiting.shift()?.()
        }
      })
      await federation.start()
      publish(domain('asking.example'), federation.addresses[0]?.port ?? 0)
    })

    after(() => federation.stop())

    const ask = async (name: string, attrs: object, child: Element): Promise<string> => {
      const come = new Promise<void>(resolve => waiting.push(resolve))
      const stanza = createElement(name, { from: 'u@asking.example/r', to: 'served.example', ...attrs })
      stanza.append(child)
      await federation.send(stanza)
      await come
      return arrived.pop()?.bytes.toString() ?? ''
    }

    it('answers a ping, disco#info, a message and what it does not know', async () => {
      assert.match(
        await ask('iq', { type: 'get', id: 'p' }, createElement('ping', { xmlns: 'urn:xmpp:ping' })),
        /^<iq [^>]*type=["']result["']/
      )
      assert.match(
        await ask('iq', { type: 'get', id: 'd' }, createElement('query', { xmlns: 'http://jabber.org/protocol/disco#info' })),
        /category=["']server["']/
      )
      assert.match(await ask('message', { type: 'chat' }, createElement('body', {}).t('hello')), /<body>hello<\/body>/)
      assert.match(await ask('iq', { type: 'set', id: 's' }, createElement('query', { xmlns: 'jabber:iq:roster' })), /<service-unavailable/)
    })
  })
})

describe('serve', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'xmpp-federation-'))
  })
  after(() => rmSync(folder, { recursive: true }))
  const configured = (config: object): string => {
    const file = join(folder, 'serve.json')
    writeFileSync(file, JSON.stringify(config))
    return file
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`stops on ${signal}, and has then succeeded`, async () => {
      const config = configured({
        domains: { 'a.example': null },
        listen: [
          { host: LOOPBACK, port: 0 },
          { host: '::1', port: 0, tls: 'direct' }
        ]
      })
      const served = begin('serve', '--config', config)
      assert.match(await served.line(), /^Listening on 127\.0\.0\.1:\d+ \(starttls\)$/)
      assert.match(await served.line(), /^Listening on \[::1\]:\d+ \(direct\)$/)
      assert.equal((await served.end(signal)).code, 0)
    })
  }

  it('names the key of the config that is wrong, and its file', async () => {
    const config = configured({ domains: { 'a.example': { cert: 'a.pem', key: 'a.key' } } })
    const { code, stdout, stderr } = await run('serve', '--config', config)
    assert.deepEqual([code, stdout], [2, ''])
    assert.equal(
      stderr,
      `xmpp-federation: ${config}: domains["a.example"].cert cannot be read: no such file or directory: ${join(folder, 'a.pem')}.\n`
    )
  })

  it('says in one sentence that it cannot listen', async () => {
    const taken = createServer().listen(0, LOOPBACK)
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const { code, stderr } = await run(
      'serve',
      '--config',
      configured({ domains: { 'a.example': null }, listen: [{ host: LOOPBACK, port }] })
    )
    taken.close()
    assert.equal(code, 2)
    assert.equal(stderr.split('\n').at(-2), `xmpp-federation: cannot listen on ${LOOPBACK}:${port} (EADDRINUSE).`)
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
