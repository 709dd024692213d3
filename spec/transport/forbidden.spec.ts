import assert from 'node:assert/strict'
import { isForbiddenAddress } from '../../lib/transport/forbidden.ts'

const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fd12:3456::1'],
  'link-local': ['169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1'],
  'behind carrier-grade NAT': ['100.64.0.1', '100.127.255.255'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  reserved: [
    '240.0.0.1',
    '255.255.255.255',
    '192.0.0.8',
    '198.18.0.1',
    '198.19.255.255',
    '192.88.99.1',
    '4000::1',
    '2001:2::1',
    '2001:10::1',
    '100::1',
    '5f00::1'
  ],
  'IPv4 inside IPv6': [
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:8.8.8.8',
    '::127.0.0.1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::1',
    '2002:c0a8:101::1',
    '2001:0:7f00:1::1'
  ],
  'no address': ['', 'localhost', '127.1', '0x7f000001', '2130706433', '1.2.3.4.5']
}

const ALLOWED = [
  '8.8.8.8',
  '172.32.0.1',
  '100.128.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450::1',
  '64:ff9b::808:808',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
  '198.51.100.7',
  '2001:db8::7',
  '3fff::1'
]

describe('forbidden addresses', () => {
  for (const [what, addresses] of Object.entries(FORBIDDEN))
    it(`[SEC-SSRF-a] are those that are ${what}`, () => {
      assert.deepEqual(
        addresses.filter(address => !isForbiddenAddress(address)),
        []
      )
    })

  it('are not those of the internet, nor those of documentation', () => {
    assert.deepEqual(ALLOWED.filter(isForbiddenAddress), [])
  })
})
