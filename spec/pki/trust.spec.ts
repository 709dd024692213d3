import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Trust } from '../../lib/model/settings.ts'
import { Anchors, systemRoots } from '../../lib/pki/anchors.ts'
import { Certificate } from '../../lib/pki/certificate.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { kinds } from './corpus.ts'
import { NOW, PEER, ca, leaf, named } from './world.ts'
import type { Issued } from './world.ts'

const root = ca('Root')
const middle = ca('Middle', root)
const peer = leaf(middle)

const ders = (...chain: Issued[]): Buffer[] => chain.map(one => one.der)

function refusedTrust(trust: Trust): string {
  try {
    new Judge(trust)
  } catch (error) {
    if (FederationError.is(error) && error.code === 'S2S_CONFIG') return error.message
    throw error
  }
  return assert.fail('nothing was refused')
}

describe('the trust of a judge', () => {
  describe('with authorities per domain', () => {
    const partner = ca('Partner')
    const strict = ca('Strict')
    const trust: Trust = {
      default: [root.pem],
      forDomains: [
        { patterns: ['peer.example', '*.partner.example'], ca: [partner.pem] },
        { patterns: ['*.strict.example'], ca: [strict.pem], only: true }
      ]
    }
    const judge = new Judge(trust)
    const valid = (by: Issued, name: string): boolean =>
      judge.judge([leaf(by, named({ dns: name })).der], domain(name), NOW, undefined).valid

    it("lets a partner's authority vouch for nobody else", () => {
      assert.ok(valid(partner, 'peer.example'))
      assert.ok(valid(partner, 'a.b.partner.example'))
      assert.ok(!valid(partner, 'partner.example'))
      assert.ok(!valid(partner, 'other.example'))
      assert.ok(!valid(partner, 'a.strict.example'))
    })

    it('keeps the default beside it, and not with `only`', () => {
      assert.ok(valid(root, 'peer.example'))
      assert.ok(valid(root, 'other.example'))
      assert.ok(valid(strict, 'a.strict.example'))
      assert.ok(!valid(root, 'a.strict.example'))
    })

    it('does not mix up paths of one chain under different authorities', () => {
      const both = leaf(partner, named({ dns: 'peer.example' }, { dns: 'other.example' })).der
      for (let round = 0; round < 2; round++) {
        assert.ok(judge.judge([both], domain('peer.example'), NOW, undefined).valid)
        assert.ok(!judge.judge([both], domain('other.example'), NOW, undefined).valid)
      }
    })
  })

  describe('of its own options', () => {
    it('trusts others after a reload, and the former ones after a reload that failed', () => {
      const judge = new Judge({ default: [root.pem] })
      const other = ca('Other')
      assert.ok(judge.judge(ders(peer, middle), PEER, NOW, undefined).valid)
      judge.reload({ default: [other.pem] })
      assert.ok(!judge.judge(ders(peer, middle), PEER, NOW, undefined).valid)
      assert.ok(judge.judge(ders(leaf(other)), PEER, NOW, undefined).valid)
      assert.throws(() => judge.reload({ default: ['rubbish'] }))
      assert.throws(() => judge.reload({ default: [root.pem], forDomains: [{ patterns: ['*'], ca: ['rubbish'] }] }))
      assert.ok(judge.judge(ders(leaf(other)), PEER, NOW, undefined).valid)
    })

    it('names what it cannot use', () => {
      assert.match(refusedTrust({ default: ['rubbish'] }), /trust\.default\[0\]/)
      assert.match(refusedTrust({ also: [root.pem, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'] }), /trust\.also\[1\]/)
      assert.match(refusedTrust({ forDomains: [{ patterns: ['a.example'], ca: [''] }] }), /trust\.forDomains\[0\]\.ca\[0\]/)
      assert.match(refusedTrust({ forDomains: [{ patterns: ['a b'], ca: [root.pem] }] }), /a b/)
      assert.match(refusedTrust({ default: [middle.pem] }), /trust\.default .*root/)
    })

    it('reads several certificates from one PEM, an intermediate among them', () => {
      const judge = new Judge({ default: [`a bundle\n${middle.pem}\n${root.pem}`] })
      assert.ok(judge.judge(ders(peer), PEER, NOW, undefined).valid)
    })

    it('trusts nobody with an empty list', () => {
      assert.deepEqual(kinds(new Judge({ default: [] }).judge(ders(peer, middle, root), PEER, NOW, undefined)), ['untrusted-issuer'])
    })

    it("reads the system's bundle from the first file that holds one, and says so where none does", () => {
      const folder = mkdtempSync(join(tmpdir(), 'anchors-'))
      try {
        const [absent, empty, bundle] = ['absent.pem', 'empty.pem', 'bundle.pem'].map(name => join(folder, name))
        writeFileSync(empty ?? '', '# nothing\n')
        writeFileSync(bundle ?? '', `# roots\n${root.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`)
        const roots = systemRoots([absent ?? '', empty ?? '', bundle ?? ''])
        assert.deepEqual(
          roots.map(one => one.fingerprint256),
          [new Certificate(root.der).fingerprint256]
        )
        assert.throws(
          () => systemRoots([absent ?? '', empty ?? '']),
          error => FederationError.is(error) && error.code === 'S2S_CONFIG' && error.message.includes('empty.pem')
        )
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    it("reads every one of Node's bundled roots, each an anchor", () => {
      const roots = rootCertificates.map(pem => new Certificate(new X509Certificate(pem).raw))
      assert.equal(roots.filter(one => one.selfSigned).length, rootCertificates.length)
      assert.deepEqual(
        roots.flatMap(one => one.facts({ left: 1000 }).defects),
        []
      )
      const anchors = new Anchors(roots)
      assert.ok(roots.every(one => anchors.named(one.subjectKey).includes(one) && anchors.holds(one)))
    })
  })
})
