import assert from 'node:assert/strict'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import { asciiDomain, domain, pairKey, parseDomain } from '../../lib/model/domain.ts'

const refused = (text: string): void => {
  assert.equal(parseDomain(text), undefined, `${JSON.stringify(text)} was read as ${JSON.stringify(parseDomain(text))}`)
  assert.throws(
    () => domain(text),
    (error: unknown) => FederationError.is(error) && error.code === 'S2S_ADDRESS'
  )
}

describe('a domain name', () => {
  it('[RFC7622-3.2-a] is the same with and without one trailing dot', () => {
    assert.equal(domain('example.com.'), domain('example.com'))
    assert.equal(
      pairKey({ sender: domain('example.com.'), target: domain('b.example') }),
      pairKey({ sender: domain('example.com'), target: domain('b.example') })
    )
    refused('example.com..')
    refused('.')
  })

  it('[RFC7622-3.2.1-a] is carried in U-labels and looked up in A-labels, whichever the peer sends', () => {
    assert.equal(domain('xn--bcher-kva.example'), 'bücher.example')
    assert.equal(domain('XN--BCHER-KVA.example'), domain('BÜCHER.example'))
    assert.equal(asciiDomain(domain('bücher.example')), 'xn--bcher-kva.example')
  })

  it('[RFC7622-3.2.2-a] is the same in upper and lower case, in full width, and with ideographic dots', () => {
    assert.equal(domain('EXAMPLE.com'), domain('example.com'))
    assert.equal(domain('ＥＸＡＭＰＬＥ。com'), domain('example.com'))
  })

  it('[ENG-NAME-a] is refused where a host parser would cut it, decode it or read it as a number', () => {
    const hostile = [
      'example.com/foo',
      'b.example?x',
      'b.example#x',
      'a\\b.com',
      'A\tB.com',
      'A\nB.com',
      '%41.com',
      'soft\u00adhyphen.com',
      '0x7f.1',
      '1',
      '2130706433',
      '127.0.0.1',
      '[::1]',
      '::1',
      'a..b',
      '.a',
      '',
      ' ',
      'a.example:5269',
      'a@b.example',
      'exa mple.com',
      'xn--a',
      'xn--.example',
      `${'a'.repeat(64)}.example`,
      `${'a.'.repeat(127)}toolong`,
      '-a.example',
      'a-.example',
      'a.example\u0000',
      'ａ＠b.example',
      'a／b.example',
      'a℀b.example'
    ]
    for (const text of hostile) refused(text)
  })

  it('[ENG-NAME-a] never becomes another domain than the strict reading of its text', () => {
    const pieces = fc.constantFrom(
      'a',
      'b.example',
      '.',
      '/',
      '\\',
      '?',
      '#',
      '@',
      '%41',
      '%',
      ':',
      '[',
      ']',
      '\t',
      ' ',
      '\u00ad',
      '\u200d',
      '\u3002',
      'ü',
      'Ⓐ',
      '1',
      '0x7f',
      'xn--',
      '-',
      '_',
      '\ufffd',
      '\u202e',
      'K'
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces, { maxLength: 8 }).map(parts => parts.join('')),
          fc.string({ unit: 'binary', maxLength: 30 })
        ),
        text => {
          const name = parseDomain(text)
          if (name === undefined) return
          assert.match(asciiDomain(name), /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/)
          assert.doesNotMatch(text, /[/\\?#@%:[\]\s\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff\ufffd]/u)
          assert.equal(asciiDomain(name), domainToASCII(text.endsWith('.') ? text.slice(0, -1) : text))
          assert.equal(parseDomain(name), name, 'its canonical form is another domain')
        }
      ),
      { numRuns: 3000 }
    )
  })

  it('[ENG-NAME-c] is refused with NUL, the replacement character, a joiner or a bidi control; none is dropped', () => {
    for (const character of [
      '\u0000',
      '\u00ad',
      '\u034f',
      '\u180b',
      '\u200b',
      '\u200c',
      '\u200d',
      '\u200e',
      '\u202e',
      '\u2060',
      '\u2066',
      '\ufe0f',
      '\ufeff',
      '\ufffd'
    ])
      refused(`a${character}b.example`)
  })
})
