import assert from 'node:assert/strict'
import { policies } from '../../lib/policy/presets.ts'
import { NS_DIALBACK, NS_SASL, NS_SERVER } from '../../lib/xml/namespaces.ts'
import { saslFailureOf, SUCCESS } from '../../lib/testing/peer-xml.ts'
import { playInitiating } from '../../lib/testing/initiating-script.ts'
import { playReceiving } from '../../lib/testing/receiving-script.ts'
import type { KeyVerdict } from '../../lib/testing/receiving-script.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { rejection } from '../world.ts'
import { meet, PAIR, reached } from './meeting.ts'
import type { MeetingOptions, Plays } from './meeting.ts'

const HEADERS = { from: 'padua.example', to: 'verona.example' }

/** Ends the first stream with an error, behind a header of its own. */
const endsWith =
  (condition: string): Plays =>
  async peer => {
    await peer.expectHeader()
    peer.sendHeader({ ...HEADERS, id: 'x' })
    peer.sendStreamError(condition)
    await peer.expectClose()
    peer.close()
    await peer.expectEnd()
  }

/** In clear as far as our key, and then what is told. */
const afterKey =
  (then: (peer: ScriptedPeer) => void): Plays =>
  async peer => {
    await peer.expectHeader()
    peer.sendHeader({ ...HEADERS, id: 'x' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK)
    then(peer)
    while ((await peer.next()) !== undefined);
    peer.close()
  }

const error = (condition: string): string =>
  `<db:result from='padua.example' to='verona.example' type='error'><error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`

/** Where a link that does not come about ends: the error, with the condition that the peer gave, and what a stanza comes back as. */
const fails = (error: string, bounced = 'remote-server-timeout'): string => `${error}, bounced as ${bounced}`

/** What the server does, how we meet it, where that ends; and what has to be, or not to be, in the last transcript. */
type Row = readonly [does: string, options: MeetingOptions, end: string, shows?: RegExp]

const inClear: Pick<MeetingOptions, 'theirs'> = { theirs: 'missing' }
const SERVERS: Readonly<Record<string, readonly Row[]>> = {
  Prosody: [
    ['has dialback without <errors/>', { plays: { external: false, quirks: ['dialback-without-errors'] } }, 'tls-dialback'],
    [
      'ends the stream with host-unknown for a domain that it does not host',
      { plays: endsWith('host-unknown') },
      fails('S2S_STREAM_ERROR_RECEIVED host-unknown', 'remote-server-not-found')
    ],
    [
      'ends the stream with not-authorized for a key that is not valid',
      { ...inClear, plays: afterKey(peer => peer.sendStreamError('not-authorized')) },
      fails('S2S_STREAM_ERROR_RECEIVED not-authorized')
    ],
    [
      'answers with the key as text',
      { plays: { external: false, quirks: ['key-in-result'] } },
      'tls-dialback',
      /type='valid'>[0-9a-f]{64}</
    ],
    [
      'has no dialback at all where certificates have to be valid, and says so by not-authorized inside TLS',
      { ours: 'self-signed', engine: { policy: policies.encrypted() }, plays: { dialback: false, quirks: ['not-authorized-inside-tls'] } },
      fails('S2S_CERTIFICATE_REFUSED not-authorized')
    ],
    [
      'wants the two domains of the first header again in every later one',
      {},
      'sasl-external',
      /(?:← <\?xml[^\n]*from='verona.example' to='padua.example'[^\n]*\n[^]*){3}/
    ],
    [
      'ends the stream with undefined-condition when it has no feature to offer',
      { plays: endsWith('undefined-condition') },
      fails('S2S_STREAM_ERROR_RECEIVED undefined-condition')
    ],
    [
      'offers dialback beside a required STARTTLS, and refuses it then',
      { plays: { starttls: 'required', quirks: ['dialback-although-tls-required'] } },
      'sasl-external'
    ],
    [
      'ends the stream with undefined-condition for a sender that it hosts itself',
      { plays: endsWith('undefined-condition') },
      fails('S2S_STREAM_ERROR_RECEIVED undefined-condition')
    ],
    [
      'ends the stream with improper-addressing where it misses an address or finds another than before',
      { ...inClear, plays: afterKey(peer => peer.sendStreamError('improper-addressing')) },
      fails('S2S_STREAM_ERROR_RECEIVED improper-addressing')
    ],
    ['never answers where it cannot verify', { plays: { external: false, quirks: ['no-result-answer'] } }, fails('S2S_TIMEOUT')]
  ],
  ejabberd: [
    ...['not-allowed', 'forbidden', 'remote-server-not-found'].map((condition): Row => [
      `answers a key with the dialback error ${condition}`,
      { ...inClear, plays: afterKey(peer => peer.send(error(condition))) },
      fails(`S2S_DIALBACK_ERROR ${condition}`)
    ]),
    ['answers in clear with as little as it may', { plays: { quirks: ['header-without-from', 'header-without-to'] } }, 'sasl-external'],
    [
      'has its dialback module switched off, and still declares the namespace',
      { plays: { dialback: false, external: false } },
      fails('S2S_DIALBACK_ERROR policy-violation')
    ],
    ['refuses EXTERNAL on a stream that lives on', { plays: { quirks: ['external-refused'] } }, 'tls-dialback'],
    ['closes the stream right after <auth/>', { plays: { quirks: ['close-after-auth'] } }, 'tls-dialback'],
    ['offers no mechanism inside an empty <mechanisms/>', { plays: { quirks: ['empty-mechanisms'] } }, 'sasl-external'],
    ['sends its features in a packet of their own', { plays: { quirks: ['features-in-second-packet'] } }, 'sasl-external']
  ],
  MongooseIM: [
    [
      'shows dialback by its namespace alone, answers without to, and puts from on features',
      { plays: { external: false, quirks: ['no-dialback-feature', 'header-without-to', 'features-with-from'] } },
      'tls-dialback'
    ],
    [
      'does the same in clear',
      { ...inClear, plays: { quirks: ['no-dialback-feature', 'header-without-to', 'features-with-from'] } },
      'plain-dialback'
    ],
    [
      'ends the stream with host-unknown for a domain that it does not host',
      { plays: endsWith('host-unknown') },
      fails('S2S_STREAM_ERROR_RECEIVED host-unknown', 'remote-server-not-found')
    ],
    [
      'ends the stream with invalid-from for a domain that it does not federate with',
      { plays: endsWith('invalid-from') },
      fails('S2S_STREAM_ERROR_RECEIVED invalid-from')
    ],
    ['wants the authorization identity, in base64', {}, 'sasl-external', /<auth [^>]*>dmVyb25hLmV4YW1wbGU=</],
    ['knows no dialback errors', { ...inClear, plays: { quirks: ['dialback-without-errors'] } }, 'plain-dialback']
  ],
  Openfire: [
    ['speaks no TLS above 1.2, in some versions', { tls12: true }, 'sasl-external', /TLS 1\.2/],
    ['sends an empty <mechanisms/>', { plays: { quirks: ['empty-mechanisms'] } }, 'sasl-external'],
    [
      'answers from its main domain, with a certificate that covers ours',
      { plays: { quirks: ['header-from-another-domain'] } },
      'sasl-external'
    ],
    [
      'answers from its main domain, with a certificate that proves nothing',
      {
        theirs: 'self-signed',
        engine: { policy: policies.encrypted() },
        plays: { external: false, quirks: ['header-from-another-domain'] }
      },
      fails('S2S_STREAM_ERROR_SENT undefined-condition')
    ],
    ['sends a line break between declaration and header', { plays: { quirks: ['newline-in-prolog'] } }, 'sasl-external'],
    [
      'chokes on a line break in our prolog, on two declarations of dialback, and on another prefix than db',
      { plays: { external: false } },
      'tls-dialback',
      /^← <\?xml version='1.0'\?><stream:stream(?=[^\n]* xmlns:db='jabber:server:dialback')(?![^\n]*xmlns:db=[^\n]*xmlns:db=)[^\n]*\n[^]*← <db:result /
    ],
    [
      'refuses EXTERNAL and takes dialback on the same TLS stream',
      { plays: { quirks: ['external-refused'] } },
      'tls-dialback',
      /<failure [^]*type='valid'/
    ],
    [
      'takes TLS from the first byte on port 5270',
      { direct: true, engine: { overrides: { 'padua.example': { host: '198.51.100.2', port: 5270, tls: 'direct' } } } },
      'sasl-external'
    ],
    [
      'refuses a key by ending the stream',
      { ...inClear, plays: afterKey(peer => peer.sendStreamError('policy-violation')) },
      fails('S2S_STREAM_ERROR_RECEIVED policy-violation')
    ],
    ['closes the stream on a domain that fails', { ...inClear, plays: afterKey(peer => peer.close()) }, fails('S2S_STREAM_CLOSED')],
    [
      'has no use for an authorization identity, in some versions',
      {
        plays: peer =>
          withSasl(peer, async authzid => {
            if (authzid === '=') return true
            peer.send(saslFailureOf('invalid-authzid'))
            return await Promise.resolve(false)
          })
      },
      'sasl-external',
      /<invalid-authzid\/>[^]*<auth [^>]*>=</
    ]
  ],
  Tigase: [
    [
      'knows no dialback errors, and answers with policy-violation as one',
      {
        ...inClear,
        plays: async peer => {
          await peer.expectHeader()
          peer.sendHeader({ ...HEADERS, id: 'x' })
          peer.sendFeatures({ dialback: 'without-errors' })
          await peer.expect('result', NS_DIALBACK)
          peer.send(error('policy-violation'))
          while ((await peer.next()) !== undefined);
          peer.close()
        }
      },
      fails('S2S_DIALBACK_ERROR policy-violation')
    ],
    ['offers EXTERNAL to who shows no certificate', { ours: 'missing', plays: { quirks: ['external-always-offered'] } }, 'tls-dialback'],
    [
      'offers EXTERNAL to a certificate that it will not take',
      { ours: 'expired', plays: { quirks: ['external-always-offered', 'external-refused'] } },
      'tls-dialback'
    ]
  ],
  Metronome: [
    ['takes a key on the word of the certificate, and asks nobody', { plays: { external: false } }, 'tls-dialback'],
    [
      'ends the stream with policy-violation after ten dialback errors',
      {
        ...inClear,
        plays: afterKey(peer => {
          for (let sent = 0; sent < 10; sent += 1) peer.send(error('not-acceptable').replace('verona.example', 'other.example'))
          peer.sendStreamError('policy-violation')
        })
      },
      fails('S2S_STREAM_ERROR_RECEIVED policy-violation')
    ]
  ],
  'xmpp-proxy': [
    ['has EXTERNAL and nothing else', { plays: { dialback: false } }, 'sasl-external'],
    [
      'wants a certificate of us',
      { ours: 'missing', engine: { policy: policies.encrypted() }, plays: { dialback: false, quirks: ['not-authorized-inside-tls'] } },
      fails('S2S_CERTIFICATE_REFUSED not-authorized')
    ]
  ],
  'a server from before 1.0': [
    [
      'answers without version and has no features, which the default policy lets pass',
      { plays: { quirks: ['pre-1.0-header'] } },
      'plain-dialback'
    ],
    [
      'is not met by a policy that wants TLS',
      { engine: { policy: policies.encrypted() }, plays: { quirks: ['pre-1.0-header'] } },
      fails('S2S_TLS_NOT_OFFERED')
    ],
    [
      'ends streams with xml-not-well-formed',
      { plays: { quirks: ['xml-not-well-formed'] } },
      fails('S2S_STREAM_ERROR_RECEIVED not-well-formed')
    ]
  ]
}

/** Inside TLS, deciding on each `<auth/>` by its text, until one is taken. */
async function withSasl(peer: ScriptedPeer, takes: (authzid: string) => Promise<boolean>): Promise<void> {
  await peer.expectHeader()
  peer.sendHeader({ ...HEADERS, id: 'a' })
  peer.sendFeatures({ starttls: 'required' })
  await peer.acceptStartTls()
  await peer.expectHeader()
  peer.sendHeader({ ...HEADERS, id: 'b' })
  peer.sendFeatures({ mechanisms: ['EXTERNAL'] })
  let taken = false
  while (!taken) taken = await takes((await peer.expect('auth', NS_SASL)).getText())
  peer.send(SUCCESS)
  peer.restart()
  await playReceiving(peer, { domain: 'padua.example', external: false })
}

for (const [server, rows] of Object.entries(SERVERS))
  describe(`${server}, as the receiving server that we dial`, () => {
    for (const [does, options, expected, shows] of rows)
      it(`${does}: ${expected}`, async () => {
        const { end, transcripts } = await reached(options)
        assert.equal(end, expected, transcripts.join('\n----\n'))
        if (shows !== undefined) assert.match(transcripts.at(-1) ?? '', shows)
      })
  })

describe('a server that waits for its own verification of our key', () => {
  it('gives it up after 15 seconds (Metronome): so long we wait, and its answer is the error', async () => {
    const waits: Plays = async (peer, { clock }) => {
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'x' })
      peer.sendFeatures({ dialback: 'with-errors' })
      await peer.expect('result', NS_DIALBACK)
      await new Promise<void>(resolve => void clock.setTimeout(resolve, 15_000))
      peer.send(error('remote-server-timeout'))
      while ((await peer.next()) !== undefined);
      peer.close()
    }
    await meet({ ...inClear, plays: waits }, async ({ engine, clock }) => {
      const began = clock.now()
      const { code, condition, stanzaCondition } = await clock.run(rejection(engine.connect(PAIR)))
      assert.equal(clock.now() - began, 15_000)
      assert.deepEqual([code, condition, stanzaCondition], ['S2S_DIALBACK_ERROR', 'remote-server-timeout', 'remote-server-timeout'])
    })
  })
})

describe('a certificate of ours that seems to be refused', () => {
  it('may have been the network where the connection just ended: only a refusal in words or by an alert lasts', async () => {
    const temporary = async (plays: Plays): Promise<unknown> => {
      const seen: unknown[] = []
      await meet({ plays, engine: { policy: policies.strict() } }, async ({ engine, clock }) => {
        const { code, temporary } = await clock.run(rejection(engine.connect(PAIR)))
        seen.push([code, temporary])
      })
      return seen[0]
    }
    const breaks: Plays = async peer => {
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'a' })
      peer.sendFeatures({ starttls: 'required' })
      await peer.acceptStartTls()
      await peer.expectHeader()
      peer.reset()
    }
    assert.deepEqual(await temporary(breaks), ['S2S_CERTIFICATE_REFUSED', true])
    assert.deepEqual(await temporary({ quirks: ['not-authorized-inside-tls'] }), ['S2S_CERTIFICATE_REFUSED', false])
  })
})

describe('EXTERNAL that is refused, and dialback that fails after it', () => {
  for (const [fails, plays, isTemporary] of [
    ['the peer goes away meanwhile', { quirks: ['external-refused', 'no-result-answer'] }, true],
    ['the peer cannot ask', { quirks: ['external-refused'], verify: (): KeyVerdict => 'error' }, true],
    ['the key is denied', { quirks: ['external-refused'], verify: (): KeyVerdict => 'invalid' }, false]
  ] as const)
    it(`is for ${isTemporary ? 'a time' : 'good'} where ${fails}; the refusal remains the reason`, async () => {
      await meet({ plays }, async ({ engine, clock }) => {
        const { code, temporary } = await clock.run(rejection(engine.connect(PAIR)))
        assert.deepEqual([code, temporary], ['S2S_SASL_REFUSED', isTemporary])
      })
    })
})

describe('a certificate of ours that a peer misses', () => {
  const refusal = "not-authorized, The certificate is not trusted by this server's policy"
  for (const [ours, said] of [
    ['missing', `it wants one, and we have none (${refusal})`],
    ['expired', refusal]
  ] as const)
    it(`is told apart from one that it refuses: ${ours}`, async () => {
      const plays: Plays = { dialback: false, quirks: ['not-authorized-inside-tls'] }
      await meet({ ours, plays, engine: { policy: policies.encrypted() } }, async ({ probe }) => {
        const { error } = await probe()
        assert.equal(error?.message, `The peer refused us because of our certificate: ${said}.`)
      })
    })
})

describe('a server that dials back with a key of its own before it answers ours', () => {
  /** Answers our key only when its own has been found valid, and answers for its own meanwhile. */
  const inTurn: Plays = async (peer, { dial }) => {
    const verify = async (): Promise<KeyVerdict> => {
      await playInitiating(await dial(), { from: 'padua.example', to: 'verona.example', prove: 'dialback' })
      return 'valid'
    }
    await playReceiving(peer, { domain: 'padua.example', external: false, verify })
  }

  for (const [ours, theirs, level] of [
    ['missing', 'missing', 'plain-dialback'],
    ['self-signed', 'self-signed', 'tls-dialback']
  ] as const)
    it(`[ENG-DB-b] finds its key confirmed while ours waits, and both ways reach ${level}`, async () => {
      const policy = policies.ladder({ acceptSelfSigned: true })
      await meet({ ours, theirs, plays: inTurn, engine: { policy } }, async ({ engine, clock, accepted }) => {
        const began = clock.now()
        const link = await clock.run(engine.connect(PAIR))
        assert.deepEqual([link.level, engine.links().map(each => each.level)], [level, [level, level]])
        assert.ok(clock.now() - began < 1_000, 'nobody waited for a deadline')
        assert.equal(accepted.length, 2, 'one connection for our key, and one to ask about theirs')
      })
    })
})

describe('what a deployed server does on a link of ours', () => {
  it('ends an idle one with connection-timeout (ejabberd): the next stanza goes out on a new one', async () => {
    await meet({}, async ({ engine, clock, accepted, message }) => {
      await clock.run(engine.connect(PAIR))
      accepted[0]?.sendStreamError('connection-timeout')
      await clock.settle()
      accepted[0]?.close()
      await clock.run(engine.send(message('1')))
      assert.equal(accepted.length, 2)
    })
  })

  it('takes no stanza above 262144 bytes (xmpp-proxy): that one is refused here, and the link goes on', async () => {
    const limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>"
    const plays: Plays = async peer => {
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'a' })
      peer.sendFeatures({ starttls: 'required' })
      await peer.acceptStartTls()
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'b' })
      peer.sendFeatures({ mechanisms: ['EXTERNAL'], other: limits })
      await peer.expect('auth', NS_SASL)
      peer.send(SUCCESS)
      peer.restart()
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'c' })
      peer.sendFeatures({ other: limits })
      while ((await peer.next()) !== undefined);
      peer.close()
    }
    await meet({ plays }, async ({ engine, clock, message, accepted }) => {
      const large = rejection(engine.send(message('1', 'x'.repeat(300_000))))
      assert.equal(await clock.run(engine.send(message('2'))), 'written')
      const { code, stanzaCondition } = await large
      assert.deepEqual([code, stanzaCondition, accepted.length], ['S2S_TOO_LARGE', 'policy-violation', 1])
    })
  })
  it("ends one with not-authorized over a stanza that it takes for another sender's (Prosody): the next goes out on a new one", async () => {
    await meet({}, async ({ engine, clock, accepted, message }) => {
      const closed: unknown[] = []
      engine.on('link-closed', ({ error }) => closed.push([error?.code, error?.condition]))
      assert.equal(await clock.run(engine.send(message('1'))), 'written')
      accepted[0]?.sendStreamError('not-authorized')
      await clock.settle()
      assert.deepEqual(closed, [['S2S_STREAM_ERROR_RECEIVED', 'not-authorized']])
      assert.equal(await clock.run(engine.send(message('2'))), 'written')
      assert.equal(accepted.length, 2)
    })
  })

  it('sends its own stanzas back on it where both ways were agreed on (Metronome)', async () => {
    const plays: Plays = async peer => {
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'a' })
      peer.sendFeatures({ starttls: 'offered', dialback: 'with-errors', bidi: true })
      await peer.acceptStartTls()
      await peer.expectHeader()
      peer.sendHeader({ ...HEADERS, id: 'b' })
      peer.sendFeatures({ dialback: 'with-errors', bidi: true })
      await peer.expect('bidi', 'urn:xmpp:bidi')
      await peer.expect('result', NS_DIALBACK)
      peer.send("<db:result from='padua.example' to='verona.example' type='valid'/>")
      await peer.expect('message', NS_SERVER, { id: '1' })
      peer.send("<message from='petruchio@padua.example' to='juliet@verona.example' id='2'/>")
      while ((await peer.next()) !== undefined);
      peer.close()
    }
    await meet({ plays }, async ({ engine, clock, stanzas, message }) => {
      assert.equal(await clock.run(engine.send(message('1'))), 'written')
      await clock.settle()
      assert.deepEqual(stanzas, ['padua.example 2'])
      assert.deepEqual(
        engine.links().flatMap(({ pairs }) => pairs.map(({ flow, level }) => [flow, level])),
        [
          ['send', 'tls-dialback'],
          ['receive', 'tls-dialback']
        ]
      )
    })
  })

  for (const [server, quirks, connections] of [
    [
      'would take a further sender on it, and has no dialback errors to refuse one by (Tigase): it gets another',
      ['dialback-without-errors'],
      2
    ],
    ['takes a further sender on it, and has dialback errors (ejabberd): it joins', [], 1]
  ] as const)
    it(server, async () => {
      const domains = { 'verona.example': undefined, 'vicenza.example': undefined }
      await meet({ engine: { domains }, plays: { external: false, quirks } }, async ({ engine, clock, accepted, message }) => {
        assert.equal(await clock.run(engine.send(message('1'))), 'written')
        assert.equal(await clock.run(engine.send(message('2').attr('from', 'prospero@vicenza.example').root())), 'written')
        assert.equal(accepted.length, connections)
        assert.deepEqual(
          engine
            .links()
            .flatMap(({ pairs }) => pairs.map(({ pair, level }) => [pair.sender, level]))
            .sort(),
          [
            ['verona.example', 'tls-dialback'],
            ['vicenza.example', 'tls-dialback']
          ]
        )
      })
    })
})
