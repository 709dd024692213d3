import assert from 'node:assert/strict'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { policies } from '../../lib/policy/presets.ts'
import { askAuthority } from '../../lib/testing/initiating-script.ts'
import type { InitiatingScript } from '../../lib/testing/initiating-script.ts'
import { dialPeer } from '../../lib/testing/scripted-connections.ts'
import { NS_DIALBACK, NS_SERVER } from '../../lib/xml/namespaces.ts'
import { admitted, meet, PAIR } from './meeting.ts'
import type { MeetingOptions } from './meeting.ts'

const SECRET = 'a secret of at least thirty-two octets'

/** What the server does, how we meet it, and the level that it is given. */
type Row = readonly [does: string, script: Partial<InitiatingScript>, end: string | RegExp, options?: MeetingOptions]

const SERVERS: Readonly<Record<string, readonly Row[]>> = {
  Prosody: [
    ['asks for TLS whatever was offered', { quirks: ['starttls-although-not-offered'] }, 'sasl-external'],
    ["sends id='' in its header", { quirks: ['empty-id'] }, 'sasl-external'],
    ['asks for no server name in TLS', { quirks: ['no-server-name'] }, 'sasl-external'],
    [
      'shows a certificate that does not verify, and proves itself by dialback',
      { prove: 'dialback' },
      'tls-dialback',
      { theirs: 'self-signed', engine: { policy: policies.ladder({ acceptSelfSigned: true }) } }
    ],
    [
      'says nothing when it is asked about its key',
      { prove: 'dialback' },
      /type='error'[^]*<remote-server-timeout/,
      { theirs: 'missing', plays: { quirks: ['no-verify-answer'] } }
    ]
  ],
  ejabberd: [
    ['sends no from before TLS', { quirks: ['header-without-from'] }, 'sasl-external'],
    [
      'ends the stream on which it was asked about its key',
      { prove: 'dialback' },
      /type='error'[^]*<remote-server-timeout/,
      { theirs: 'missing', plays: { quirks: ['close-instead-of-verifying'] } }
    ],
    ['waits for a challenge before it says who it is', { quirks: ['no-initial-response'] }, 'sasl-external']
  ],
  MongooseIM: [['names no one to be authenticated for before TLS', { quirks: ['header-without-from'] }, 'sasl-external']],
  Openfire: [
    ['makes keys of 40 hexadecimal digits', { prove: 'dialback', quirks: ['short-key'] }, 'tls-dialback'],
    ["sends '=' for its authorization identity, in some versions", { quirks: ['empty-authzid'] }, 'sasl-external'],
    ['asks for no server name in TLS', { prove: 'dialback', quirks: ['no-server-name'] }, 'tls-dialback'],
    ['speaks no TLS above 1.2, in some versions', {}, 'sasl-external', { tls12: true }]
  ],
  Tigase: [["sends '=' for its authorization identity", { quirks: ['empty-authzid'] }, 'sasl-external']],
  Metronome: [['proves itself by dialback inside TLS, where its certificate speaks for it', { prove: 'dialback' }, 'tls-dialback']],
  'xmpp-proxy': [['has EXTERNAL and nothing else', { prove: 'sasl-external' }, 'sasl-external']],
  'a server from before 1.0': [
    [
      'sends no version and a key of 40 digits, and is served in clear by the default policy',
      { tls: 'never', prove: 'dialback', quirks: ['pre-1.0-header', 'short-key'] },
      'plain-dialback',
      { theirs: 'missing' }
    ],
    [
      'is not served by a policy that wants TLS',
      { tls: 'never', prove: 'dialback', quirks: ['pre-1.0-header', 'short-key'] },
      /got <db:result [^]*type='error'>[^]*<policy-violation /,
      { theirs: 'missing', engine: { policy: policies.encrypted() } }
    ]
  ]
}

for (const [server, rows] of Object.entries(SERVERS))
  describe(`${server}, as the initiating server that dials us`, () => {
    for (const [does, script, expected, options = {}] of rows)
      it(`${does}: ${String(expected)}`, async () => {
        const end = await admitted(options, script)
        if (typeof expected === 'string') assert.equal(end, expected)
        else assert.match(end, expected)
      })
  })

describe('what a deployed server asks of us as the authoritative server', () => {
  const key = (id: string): string => dialbackKey(SECRET, { pair: PAIR, streamId: id })
  const engine = { dialbackSecret: { current: SECRET } }

  it('verifies each key on a connection of its own (ejabberd, MongooseIM)', async () => {
    await meet({ engine }, async ({ network, clock }) => {
      for (const [id, asked, verdict] of [
        ['1', key('1'), 'valid'],
        ['2', key('1'), 'invalid']
      ] as const) {
        const peer = await dialPeer(network.transportFor('198.51.100.2'), { address: '198.51.100.1', port: 5269 })
        const request = { from: 'padua.example', to: 'verona.example', id, key: asked }
        assert.equal(await clock.run(askAuthority(peer, request)), verdict)
      }
    })
  })

  it('verifies inside TLS without a server name (Openfire)', async () => {
    await meet({ engine }, async ({ call }) => {
      const { peer } = await call({ prove: 'nothing', quirks: ['no-server-name'] })
      peer.send(`<db:verify from='padua.example' to='verona.example' id='1'>${key('1')}</db:verify>`)
      await peer.expect('verify', NS_DIALBACK, { type: 'valid', id: '1' })
    })
  })

  it('verifies inside TLS 1.2 without a server name (Openfire)', async () => {
    await meet({ engine, tls12: true }, async ({ call }) => {
      const { peer } = await call({ prove: 'nothing', quirks: ['no-server-name'] })
      assert.equal(peer.secured?.facts.protocol, 'TLS 1.2')
      peer.send(`<db:verify from='padua.example' to='verona.example' id='1'>${key('1')}</db:verify>`)
      await peer.expect('verify', NS_DIALBACK, { type: 'valid', id: '1' })
    })
  })

  it('verifies on a stream where it was offered no EXTERNAL and has proved nothing (ejabberd)', async () => {
    const policy = policies.ladder({ acceptSelfSigned: true })
    await meet({ engine: { ...engine, policy }, theirs: 'self-signed' }, async ({ call }) => {
      const { peer, initiated } = await call({ prove: 'nothing' })
      assert.deepEqual([initiated.features.mechanisms, initiated.proof], [[], undefined])
      for (const [asked, type] of [
        ['1', 'valid'],
        ['2', 'invalid']
      ] as const) {
        peer.send(`<db:verify from='padua.example' to='verona.example' id='${asked}'>${key('1')}</db:verify>`)
        await peer.expect('verify', NS_DIALBACK, { type, id: asked })
      }
      peer.send("<message from='petruchio@padua.example' to='juliet@verona.example'/>")
      await peer.expectStreamError('not-authorized')
    })
  })

  it('verifies in clear, without asking for the TLS that policy requires of everything else (ejabberd, MongooseIM)', async () => {
    await meet({ engine: { ...engine, policy: policies.strict() } }, async ({ call }) => {
      const { peer, initiated } = await call({ tls: 'never', prove: 'nothing' })
      assert.equal(initiated.features.starttls, 'required')
      peer.send(`<db:verify from='padua.example' to='verona.example' id='1'>${key('1')}</db:verify>`)
      await peer.expect('verify', NS_DIALBACK, { type: 'valid', id: '1' })
    })
  })

  it('adds a further domain of its own to a live stream (Tigase)', async () => {
    const policy = policies.ladder({ invalidCertificate: 'encrypt-only' })
    await meet({ engine: { policy }, plays: { domain: 'mantua.example' } }, async ({ call, network, clock, engine: verona }) => {
      network.zone.server('mantua.example', { addresses: ['198.51.100.2'] })
      const { peer } = await call({ prove: 'dialback' })
      peer.send("<db:result from='mantua.example' to='verona.example'>key</db:result>")
      await clock.run(peer.expect('result', NS_DIALBACK, { from: 'verona.example', to: 'mantua.example', type: 'valid' }))
      assert.deepEqual(
        verona.links().map(({ pairs }) => pairs.map(({ pair }) => pair.sender)),
        [['padua.example', 'mantua.example']]
      )
    })
  })
})

describe('what a deployed server does on a link that it opened', () => {
  it('names xmpp-server by ALPN with STARTTLS too, and is told that it was chosen (ejabberd)', async () => {
    await meet({}, async ({ call }) => {
      const { peer, initiated } = await call()
      assert.deepEqual([initiated.proof, peer.secured?.alpn], ['sasl-external', 'xmpp-server'])
    })
  })

  for (const [what, proofs, dialled] of [
    ['it gets them', ['dialback'], 0],
    ['but not where a stream of our own is worth more', ['sasl-external', 'dialback'], 1]
  ] as const)
    it(`wants answers on the same stream, and proves itself by a key (Metronome): ${what}`, async () => {
      const policy: Policy = { proofs: ({ direction }) => (direction === 'outgoing' ? proofs : undefined) }
      await meet({ engine: { policy } }, async ({ call, engine, clock, accepted, message, stanzas }) => {
        const { peer, initiated } = await call({ prove: 'nothing' })
        assert.equal(initiated.features.bidi, true)
        peer.send("<bidi xmlns='urn:xmpp:bidi'/>")
        peer.send("<db:result from='padua.example' to='verona.example'>key</db:result>")
        await clock.run(peer.expect('result', NS_DIALBACK, { from: 'verona.example', to: 'padua.example', type: 'valid' }))
        peer.send("<message from='petruchio@padua.example' to='juliet@verona.example' id='1'/>")
        await clock.settle()
        assert.equal(await clock.run(engine.send(message('2'))), 'written')
        if (dialled === 0) await clock.run(peer.expect('message', NS_SERVER, { id: '2' }))
        assert.deepEqual([stanzas, accepted.length], [['padua.example 1'], dialled])
      })
    })
})
