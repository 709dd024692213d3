import type { Load } from '../model/route.ts'
import type { Consignment } from '../streams/consignment.ts'

/** What a route has handed to links and has not heard the end of. */
export class UnderWay {
  #stanzas = 0
  #bytes = 0

  get isEmpty(): boolean {
    return this.#stanzas === 0
  }

  get load(): Load {
    return { stanzas: this.#stanzas, bytes: this.#bytes }
  }

  add({ size }: Consignment): void {
    this.#stanzas += 1
    this.#bytes += size
  }

  remove({ size }: Consignment): void {
    this.#stanzas -= 1
    this.#bytes -= size
  }
}
