import { explain } from '../index.ts'
import type { SecurityLevel } from '../index.ts'
import { command, usageError } from './command.ts'
import { jsonText } from './json-text.ts'
import { openLab, VERONA } from './demo-meeting.ts'
import type { Levels, Meeting } from './demo-meeting.ts'
import { demoPeers } from './demo-peers.ts'
import type { DemoPeer } from './demo-peers.ts'
import { tableLines } from './table.ts'
import type { Cell, Column } from './table.ts'
import type { Style, Terminal } from './terminal.ts'

/** `xmpp-federation demo [--peer NAME]` */
export const demo = command({
  name: 'demo',
  summary: 'meet a few dozen servers on loopback, and compare how far up the ladder each link went with what was predicted',
  about: [
    `Needs no network: a DNS server, a certification authority and ${VERONA} on loopback, and one peer after another, with its`,
    'certificate in each state, STARTTLS required, optional or never, dialback on or off. Each is found by SRV, negotiated with in',
    'both directions over real TLS, and pinged both ways. The exit code is 0 if every outcome is what predict says.'
  ].join('\n'),
  positionals: [],
  options: { peer: { type: 'string', value: 'NAME', about: 'meet that peer only, and print every step of both negotiations' } },
  async run(values, _, terminal) {
    const peers = chosen(values.peer)
    const started = performance.now()
    const meetings = await meetAll(peers, terminal)
    const seconds = (performance.now() - started) / 1000
    if (values.json) terminal.out(jsonText(jsonOf(meetings), 2))
    else if (values.peer === undefined) printTable(meetings, seconds, terminal)
    else for (const meeting of meetings) printMeeting(meeting, terminal)
    return meetings.every(({ agrees }) => agrees)
  }
})

function chosen(name: string | undefined): readonly DemoPeer[] {
  const peers = demoPeers()
  if (name === undefined) return peers
  const wanted = peers.filter(peer => peer.name === name || peer.domain === name)
  if (wanted.length === 0)
    throw usageError(`there is no peer ${JSON.stringify(name)}; there are ${peers.map(peer => peer.name).join(', ')}`)
  return wanted
}

async function meetAll(peers: readonly DemoPeer[], terminal: Terminal): Promise<readonly Meeting[]> {
  const lab = await openLab()
  try {
    const meetings: Meeting[] = []
    for (const peer of peers) {
      terminal.progress(`${VERONA} meets ${peer.domain} (${meetings.length + 1} of ${peers.length})`)
      meetings.push(await lab.meet(peer))
    }
    return meetings
  } finally {
    terminal.progress(undefined)
    await lab.stop()
  }
}

const COLUMNS: readonly Column[] = [
  { title: 'peer' },
  { title: 'predicted (out, in)' },
  { title: 'outgoing' },
  { title: 'incoming' },
  { title: 'there', align: 'right' },
  { title: 'back', align: 'right' },
  { title: 'ms', align: 'right' },
  { title: '' }
]

function printTable(meetings: readonly Meeting[], seconds: number, terminal: Terminal): void {
  for (const line of tableLines(COLUMNS, meetings.map(rowOf), terminal)) terminal.out(line)
  const agreeing = meetings.filter(({ agrees }) => agrees).length
  const count = `${agreeing} of ${meetings.length} peers ended as predicted, in both directions`
  terminal.out('')
  terminal.out(`${terminal.style(agreeing === meetings.length ? 'green' : 'red', count)}; ${seconds.toFixed(1)} s.`)
  terminal.out('`xmpp-federation demo --peer NAME` tells why.')
}

function rowOf({ peer, predicted, reached, stanzas, milliseconds, agrees }: Meeting): readonly Cell[] {
  return [
    { text: peer.name },
    { text: bothWays(predicted), style: 'dim' },
    levelCell(reached.outgoing),
    levelCell(reached.incoming),
    { text: String(stanzas.there) },
    { text: String(stanzas.back) },
    { text: milliseconds.toFixed(0) },
    agrees ? { text: 'as predicted', style: 'dim' } : { text: 'NOT AS PREDICTED', style: 'red' }
  ]
}

function bothWays({ outgoing, incoming }: Levels): string {
  return outgoing === incoming ? wordFor(outgoing) : `${wordFor(outgoing)}, ${wordFor(incoming)}`
}

const STYLES: Readonly<Record<SecurityLevel, Style>> = {
  'sasl-external': 'green',
  'sasl-plain': 'green',
  'tls-dialback': 'yellow',
  'plain-dialback': 'red'
}

function levelCell(level: SecurityLevel | undefined): Cell {
  return level === undefined ? { text: 'none', style: 'dim' } : { text: level, style: STYLES[level] }
}

function wordFor(level: SecurityLevel | undefined): string {
  return level ?? 'none'
}

function printMeeting({ predicted, reports, agrees }: Meeting, terminal: Terminal): void {
  for (const report of [reports.outgoing, reports.incoming]) {
    if (report === undefined) continue
    terminal.out(explain(report))
    terminal.out('')
  }
  const verdict = agrees ? 'as predicted' : `not as predicted: ${bothWays(predicted)}`
  terminal.out(terminal.style(agrees ? 'green' : 'red', `Both directions ended ${verdict}.`))
}

function jsonOf(meetings: readonly Meeting[]): object {
  const isWhole = meetings.length > 1
  return {
    peers: meetings.length,
    agreeing: meetings.filter(({ agrees }) => agrees).length,
    meetings: meetings.map(({ peer, predicted, reached, stanzas, milliseconds, agrees, reports }) => ({
      peer: peer.name,
      domain: peer.domain,
      certificate: peer.certificate,
      starttls: peer.starttls,
      dialback: peer.dialback,
      predicted: nulled(predicted),
      outgoing: wordFor(reached.outgoing),
      incoming: wordFor(reached.incoming),
      stanzas,
      milliseconds: Math.round(milliseconds),
      agrees,
      ...(isWhole ? {} : { reports })
    }))
  }
}

function nulled({ outgoing, incoming }: Levels): object {
  return { outgoing: wordFor(outgoing), incoming: wordFor(incoming) }
}
