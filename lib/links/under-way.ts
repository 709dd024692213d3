import type { Load } from '../model/route.ts'
import type { Traffic } from '../observe/traffic.ts'
import type { Consignment } from '../streams/consignment.ts'

/** What a route has handed to links and has not heard the end of. */
export class UnderWay {
  readonly #traffic: Traffic
  #stanzas = 0
  #bytes = 0

  constructor(traffic: Traffic) {
    this.#traffic = traffic
  }

  get isEmpty(): boolean {
    return this.#stanzas === 0
  }

  get load(): Load {
    return { stanzas: this.#stanzas, bytes: this.#bytes }
  }

  add({ size }: Consignment): void {
    this.#stanzas += 1
    this.#traffic.pending('unacknowledged', 1)
    this.#bytes += size
  }

  remove({ size }: Consignment): void {
    this.#stanzas -= 1
    this.#traffic.pending('unacknowledged', -1)
    this.#bytes -= size
  }
}
