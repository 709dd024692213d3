import type { Domain } from '../model/domain.ts'
import { serverKey } from '../transport/same-server.ts'
import type { Server } from '../transport/same-server.ts'
import type { SharedStream } from './shared-stream.ts'

/** The live outgoing streams inside TLS, found by what a further pair might join them for, however many there are. */
export class SharedStreams {
  readonly #byTarget = new Index()
  readonly #byServer = new Index()

  add(stream: SharedStream): void {
    this.#byTarget.add(stream.target, stream)
    if (isForTargets(stream)) this.#byServer.add(keyOf(stream), stream)
  }

  delete(stream: SharedStream): void {
    this.#byTarget.delete(stream.target, stream)
    this.#byServer.delete(keyOf(stream), stream)
  }

  /** Those that were opened for this target, oldest first. */
  to(target: Domain): readonly SharedStream[] {
    return this.#byTarget.at(target)
  }

  /** Whether another target might join any of them at all. */
  get areForTargets(): boolean {
    return this.#byServer.size > 0
  }

  /** Those that another target might join, at one of these servers. */
  at(servers: readonly Server[]): readonly SharedStream[] {
    return [...new Set(servers.map(serverKey))].flatMap(key => this.#byServer.at(key))
  }
}

/** What does not change as long as a stream lives: nobody is looked up in DNS for the sake of a stream that no other target joins. */
function isForTargets(stream: SharedStream): boolean {
  return stream.connection !== undefined && stream.encrypted && stream.features.dialbackErrors
}

function keyOf({ connection }: SharedStream): string | undefined {
  return connection === undefined ? undefined : serverKey(connection)
}

class Index {
  readonly #streams = new Map<string | undefined, Set<SharedStream>>()

  get size(): number {
    return this.#streams.size
  }

  add(key: string | undefined, stream: SharedStream): void {
    const there = this.#streams.get(key)
    if (there === undefined) this.#streams.set(key, new Set([stream]))
    else there.add(stream)
  }

  delete(key: string | undefined, stream: SharedStream): void {
    const there = this.#streams.get(key)
    there?.delete(stream)
    if (there?.size === 0) this.#streams.delete(key)
  }

  at(key: string): readonly SharedStream[] {
    return [...(this.#streams.get(key) ?? [])]
  }
}
