import type { SocketAddress } from '../../lib/index.ts'
import type { Authority } from '../../lib/testing/certificates.ts'
import { authOf } from '../../lib/testing/peer-xml.ts'
import { dialPeer } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { tcpTransport } from '../../lib/transport/tcp.ts'
import { NS_SASL } from '../../lib/xml/namespaces.ts'
import { ENGINE } from './lab.ts'

export const ORIGIN = 'origin.test'

/** What every stanza of the origin inherits: two prefixes and a language. */
export const ORIGIN_HEADER =
  `<stream:stream from='${ORIGIN}' to='${ENGINE}' version='1.0' xml:lang='it' xmlns='jabber:server' ` +
  "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' xmlns:p='urn:p' xmlns:q='urn:q'>"

/** A server with an open stream to the engine, by EXTERNAL inside TLS, that then says its stanzas byte by byte as it is told to. */
export async function openOrigin(authority: Authority, at: SocketAddress): Promise<ScriptedPeer> {
  const peer = await dialPeer(tcpTransport(), at, { credentials: authority.issue(ORIGIN) })
  const open = async (): Promise<void> => {
    peer.send(`<?xml version='1.0'?>${ORIGIN_HEADER}`)
    await peer.expectHeader()
    await peer.expectFeatures()
  }
  await open()
  await peer.startTls({ servername: ENGINE })
  await open()
  peer.send(authOf('EXTERNAL', ORIGIN))
  await peer.expect('success', NS_SASL)
  peer.restart()
  await open()
  return peer
}
