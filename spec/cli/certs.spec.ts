import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { domain } from '../../lib/model/domain.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { runHere } from './run-here.ts'

describe('the certs command', () => {
  let folder = ''
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'xmpp-federation-')), 'lab')
  })
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

  const pem = (name: string): string => readFileSync(join(folder, name), 'utf8')
  const problemsOf = (name: string): readonly string[] => {
    const judge = new Judge({ default: [pem('ca.pem')] })
    return judge.judge([new X509Certificate(pem(name)).raw], domain('a.example'), Date.now(), undefined).problems.map(({ kind }) => kind)
  }

  it('writes an authority and certificates in the states asked for', async () => {
    const states = ['valid', 'self-signed', 'expired', 'wrong-host']
    const { code, stdout } = await runHere('certs', folder, '--domain', 'a.example', ...states.flatMap(state => ['--state', state]))
    assert.equal(code, 0)
    assert.deepEqual(stdout.trimEnd().split('\n')[0], join(folder, 'ca.pem'))
    assert.deepEqual(
      [
        problemsOf('a.example.pem'),
        problemsOf('a.example.self-signed.pem'),
        problemsOf('a.example.expired.pem'),
        problemsOf('a.example.wrong-host.pem')
      ],
      [[], ['self-signed'], ['expired'], ['wrong-identity']]
    )
  })

  it('writes keys that fit and that only their owner can read', async () => {
    await runHere('certs', folder, '--domain', 'a.example')
    assert.ok(new X509Certificate(pem('a.example.pem')).checkPrivateKey(createPrivateKey(pem('a.example.key'))))
    for (const name of ['ca.key', 'a.example.key']) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
  })

  it('adds to what is there, under the same authority', async () => {
    await runHere('certs', folder, '--domain', 'b.example')
    const authority = pem('ca.pem')
    await runHere('certs', folder, '--domain', 'a.example', '--domain', 'c.example')
    assert.equal(pem('ca.pem'), authority)
    assert.deepEqual(problemsOf('a.example.pem'), [])
    assert.deepEqual(problemsOf('c.example.pem'), ['wrong-identity'])
  })

  it('lists what it wrote as JSON', async () => {
    const { stdout } = await runHere('certs', folder, '--domain', 'A.EXAMPLE', '--state', 'expired', '--json')
    assert.deepEqual(JSON.parse(stdout), {
      ca: join(folder, 'ca.pem'),
      certificates: [
        { domain: 'a.example', state: 'expired', cert: join(folder, 'a.example.expired.pem'), key: join(folder, 'a.example.expired.key') }
      ]
    })
  })

  it('says what it cannot write', async () => {
    const below = join(folder, '..', 'file', 'lab')
    writeFileSync(join(below, '..'), '')
    const { code, stderr } = await runHere('certs', below, '--domain', 'a.example')
    assert.deepEqual([code, stderr], [2, `xmpp-federation: ${below} cannot be written: not a directory.\n`])
  })
})
