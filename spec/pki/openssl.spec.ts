import { CORPUS, compare, verdictOn } from './corpus.ts'
import { opensslVersion, verifyByCommand } from './oracles.ts'

describe('a chain of certificates beside `openssl verify -purpose sslserver`', function () {
  this.timeout(60_000)
  const version = opensslVersion()

  before(function () {
    if (version !== undefined) return
    if (process.env['CI'] === 'true') throw new Error('the openssl command is not installed')
    console.log('      skipped: the openssl command is not installed')
    this.skip()
  })

  after(() => {
    if (version !== undefined) console.log(`      ${version}`)
  })

  it('is never accepted by us where OpenSSL refuses it, and differs otherwise only as listed', () => {
    for (const one of CORPUS.filter(each => each.presented.length > 0)) compare(one, verdictOn(one), verifyByCommand(one))
  })
})
