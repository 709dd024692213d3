import assert from 'node:assert/strict'
import { parseAddress } from '../../lib/model/address.ts'

describe('a stanza address', () => {
  it('[RFC7622-3.1-a] ends its domain at the first slash, whatever follows', () => {
    const address = parseAddress('a.example.com/b@example.net')
    assert.equal(address?.domain, 'a.example.com')
    assert.deepEqual([address.local, address.resource], [undefined, 'b@example.net'])
    const other = parseAddress('romeo@montague.example/orchard/at@night')
    assert.deepEqual([other?.local, other?.domain, other?.resource], ['romeo', 'montague.example', 'orchard/at@night'])
  })

  it('[RFC7622-3.1-b] is refused with a part of more than 1023 octets, counted in UTF-8', () => {
    assert.ok(parseAddress(`${'a'.repeat(1023)}@b.example`))
    assert.equal(parseAddress(`${'a'.repeat(1024)}@b.example`), undefined)
    assert.ok(parseAddress(`b.example/${'é'.repeat(511)}`))
    assert.equal(parseAddress(`b.example/${'é'.repeat(512)}`), undefined)
    assert.equal(parseAddress(`b.example/${'🙂'.repeat(256)}`), undefined)
  })

  it('is refused with an empty part, a control character, or what a localpart must not have', () => {
    for (const text of [
      '',
      '@b.example',
      'b.example/',
      'a@',
      'a@/r',
      '/r',
      '@',
      'a b@c.example',
      'a"b@c.example',
      "a'@c.example",
      'a<b@c.example',
      'a:b@c.example',
      'a@b@c.example',
      'a\u0000@b.example',
      'a@b.example/r\u0001'
    ])
      assert.equal(parseAddress(text), undefined, JSON.stringify(text))
  })

  it('keeps its text, its localpart and its resource as they came', () => {
    const address = parseAddress('JULIET@Capulet.example/Balcony')
    assert.deepEqual(address, { local: 'JULIET', domain: 'capulet.example', resource: 'Balcony', text: 'JULIET@Capulet.example/Balcony' })
  })
})
