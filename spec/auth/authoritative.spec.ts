import assert from 'node:assert/strict'
import { answerVerify } from '../../lib/auth/authoritative.ts'
import { domain } from '../../lib/model/domain.ts'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import { systemClock } from '../../lib/dns/system-clock.ts'
import { HostedDomains } from '../../lib/transport/hosted.ts'
import { nodeTls } from '../../lib/transport/tls.ts'

const secret = 'a secret of at least thirty-two octets'
const server = {
  hosted: new HostedDomains({ 'capulet.example': undefined, 'bücher.example': undefined }, nodeTls(), {
    clock: systemClock,
    patience: 5_000
  }),
  dialbackSecrets: { current: secret, accepted: ['the secret of last week, still in force'] }
}

function keyFor(sender: string, target: string, streamId: string, by = secret): string {
  return dialbackKey(by, { pair: { sender: domain(sender), target: domain(target) }, streamId })
}

describe('auth/authoritative', () => {
  it('[XEP0220-2.2.2-a] answers valid for its own key, invalid for any other, and needs no state for it', () => {
    const request = { from: 'montague.example', to: 'capulet.example', id: 'D60000229F' }
    assert.equal(
      answerVerify({ ...request, key: keyFor('capulet.example', 'montague.example', 'D60000229F') }, server),
      "<db:verify from='capulet.example' to='montague.example' id='D60000229F' type='valid'/>"
    )
    for (const key of [
      '',
      'wrong',
      keyFor('montague.example', 'capulet.example', 'D60000229F'),
      keyFor('capulet.example', 'montague.example', 'other')
    ]) {
      assert.match(answerVerify({ ...request, key }, server) ?? '', /type='invalid'\/>$/)
    }
  })

  it('[XEP0220-2.2.2-a] answers item-not-found for a domain that is not hosted, even to its own key', () => {
    const key = keyFor('other.example', 'montague.example', 'x')
    assert.equal(
      answerVerify({ from: 'montague.example', to: 'other.example', id: 'x', key }, server),
      "<db:verify from='other.example' to='montague.example' id='x' type='error'><error type='cancel'>" +
        "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>"
    )
  })

  it('[XEP0220-2.2.2-b] swaps the addresses as they were spelt and copies the id, whatever characters it holds', () => {
    const id = ` &<"' >  `
    const key = keyFor('bücher.example', 'montague.example', id)
    assert.equal(
      answerVerify({ from: 'MONTAGUE.example', to: 'xn--bcher-kva.example', id, key }, server),
      "<db:verify from='xn--bcher-kva.example' to='MONTAGUE.example' id=' &amp;&lt;&quot;&apos; &gt;  ' type='valid'/>"
    )
  })

  it('[ENG-DB-c] strips white space around the key, and takes the keys of accepted secrets', () => {
    const request = { from: 'montague.example', to: 'capulet.example', id: 'i' }
    const old = keyFor('capulet.example', 'montague.example', 'i', 'the secret of last week, still in force')
    assert.match(answerVerify({ ...request, key: `\n  ${old}\n` }, server) ?? '', /type='valid'/)
  })

  it('has no answer for addresses that are no domains', () => {
    for (const [from, to] of [
      ['', 'capulet.example'],
      ['montague.example', ''],
      ['user@montague.example', 'capulet.example'],
      ['montague.example', 'capulet.example/x']
    ] as const) {
      assert.equal(answerVerify({ from, to, id: 'i', key: 'k' }, server), undefined)
    }
  })
})
