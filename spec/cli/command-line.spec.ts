import assert from 'node:assert/strict'
import { devNull } from 'node:os'
import { read } from '../pages.ts'
import { run as runProcess } from './process.ts'
import { runHere as run } from './run-here.ts'

const NAMES: readonly string[] = ['demo', 'check', 'serve', 'certs', 'predict', 'explain']

describe('the command line', () => {
  it('says its version', async () => {
    const { version } = JSON.parse(read('package.json')) as { readonly version: string }
    assert.deepEqual(await run('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('helps, and lists every subcommand', async () => {
    const { code, stdout, stderr } = await run('--help')
    assert.deepEqual([code, stderr], [0, ''])
    for (const name of NAMES) assert.match(stdout, new RegExp(`^  ${name} `, 'm'))
  })

  it('says the same as a process, by its exit code and on both outputs', async () => {
    for (const args of [['certs', '--help'], ['dmeo']]) assert.deepEqual(await runProcess(...args), await run(...args))
  })

  it('does not succeed when it was told nothing', async () => {
    const { code, stdout } = await run()
    assert.equal(code, 2)
    assert.match(stdout, /^Usage: xmpp-federation SUBCOMMAND/)
  })

  for (const name of NAMES) {
    it(`helps with ${name}`, async () => {
      const { code, stdout, stderr } = await run(name, '--help')
      assert.deepEqual([code, stderr], [0, ''])
      assert.ok(stdout.startsWith(`Usage: xmpp-federation ${name}`))
      assert.deepEqual(await run(name, '-h'), { code, stdout, stderr })
      assert.match(stdout, /--json {2,}print JSON instead of text/)
    })
  }

  const mistakes: readonly (readonly [args: readonly string[], sentence: string | RegExp])[] = [
    [['dmeo'], 'there is no subcommand "dmeo"; there are demo, check, serve, certs, predict, explain.'],
    [['constructor'], /^there is no subcommand "constructor"/],
    [['demo', '--fast'], "Unknown option '--fast'."],
    [['demo', '--json=yes'], "Option '--json' does not take an argument."],
    [['demo', 'now'], 'nothing is done with "now".'],
    [['demo', '--peer', 'nobody'], /^there is no peer "nobody"; there are valid-optional, /],
    [['check'], 'DOMAIN is missing.'],
    [['check', 'a.example'], '--from is missing: the domain to speak for.'],
    [['check', 'A.example', '--from', 'a.EXAMPLE'], 'DOMAIN and --from are both a.example: no server federates with itself.'],
    [['check', 'a.example', '--from', 'c.example', '--secret', 'package.json', '--listen', 'x'], /^--listen has to be HOST:PORT/],
    [
      ['check', 'a.example', '--from', 'c.example', '--secret', '/nowhere'],
      '--secret cannot be read: no such file or directory: /nowhere.'
    ],
    [['check', 'a.example', '--from', 'c.example', '--secret', devNull], `--secret: ${devNull} has less than 32 bytes.`],
    [['check', 'a b', '--from', 'c.example'], /^DOMAIN: .*"a b" is not a domain name\.$/],
    [['check', 'a.example', '--from', 'c.example', '--cert', 'x.pem'], '--cert and --key belong together.'],
    [['check', 'a.example', '--from', 'c.example', '--resolver', '8.8.8.8'], /^--resolver has to be HOST:PORT/],
    [['check', 'a.example', '--from', 'c.example', '--policy', 'none'], /^--policy has to be one of ladder, openfire36, encrypted, strict/],
    [['check', 'a.example', '--from', 'c.example', '--option', 'tls'], '--option has to be NAME=VALUE, not "tls".'],
    [
      ['check', 'a.example', '--from', 'c.example', '--option', 'tls=maybe'],
      /^--option: tls has to be one of required, when-offered, never/
    ],
    [['check', 'a.example', '--from', 'c.example', '--option', 'x=1'], /^--option: x is not known; known are tls, /],
    [
      ['check', 'a.example', '--from', 'c.example', '--ca', '/nowhere/ca.pem'],
      '--ca cannot be read: no such file or directory: /nowhere/ca.pem.'
    ],
    [['serve'], '--config is missing: the config, JSON.'],
    [['serve', '--config', '/nowhere.json'], '--config cannot be read: no such file or directory: /nowhere.json.'],
    [['serve', '--config', 'README.md'], /^README\.md is not JSON: /],
    [['serve', '--config', 'package.json'], /^package\.json: name is not known; known are domains, /],
    [['certs', 'x'], '--domain is missing: a domain to certify.'],
    [['certs', 'x', '--domain', 'a.example', '--state', 'old'], /^--state has to be one of valid, self-signed, /],
    [['predict'], '--table is missing: the table, JSON.'],
    [['predict', '--table', 'package.json'], /^package\.json: /],
    [['explain'], 'FILE is missing.'],
    [['explain', '/nowhere.json'], 'FILE cannot be read: no such file or directory: /nowhere.json.'],
    [['explain', 'package.json'], 'package.json: the report.schema has to be 1, not nothing.']
  ]

  for (const [args, sentence] of mistakes) {
    it(`answers \`${args.join(' ')}\` with one sentence and the exit code 2`, async () => {
      const { code, stdout, stderr } = await run(...args)
      assert.deepEqual([code, stdout], [2, ''])
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
      assert.ok(stderr.startsWith('xmpp-federation: '), stderr)
      const said = stderr.slice('xmpp-federation: '.length).trimEnd()
      if (typeof sentence === 'string') assert.equal(said, sentence)
      else assert.match(said, sentence)
    })
  }
})
