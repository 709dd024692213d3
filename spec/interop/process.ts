import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { randomInt } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const LOG_DEADLINE = 20_000
const S2S_PORT = 5269

/** A folder that is gone with the server that lives in it. */
export interface Folder {
  readonly path: string
  file(name: string): string
  write(name: string, text: string): void
  remove(): void
}

export function newFolder(name: string): Folder {
  const path = mkdtempSync(join(tmpdir(), `${name}-`))
  const file = (entry: string): string => join(path, entry)
  return {
    path,
    file,
    write: (entry, text) => {
      mkdirSync(join(file(entry), '..'), { recursive: true })
      writeFileSync(file(entry), text)
    },
    remove: () => {
      rmSync(path, { recursive: true, force: true })
    }
  }
}

/** A loopback address where nobody listens for servers: a domain without SRV records is at the standard port. */
export async function ownAddress(): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const address = `127.${randomInt(2, 255)}.${randomInt(255)}.${randomInt(1, 255)}`
    if (await isFree(address)) return address
  }
  throw new Error(`no loopback address has its port ${S2S_PORT} free: something listens there on all addresses`)
}

function isFree(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(S2S_PORT, address, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

export interface ServerProgram {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly folder: Folder
  /** In the folder; exists before the program does. */
  readonly logFile: string
  /** What it logs when it is ready. */
  readonly ready: RegExp
}

/** A server's process, by its log. */
export interface ServerProcess {
  log(): string
  logged(pattern: RegExp, after?: number): Promise<RegExpExecArray>
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Starts it and waits until it says that it is ready. */
export async function startProcess(program: ServerProgram): Promise<ServerProcess> {
  const { folder, ready } = program
  const file = folder.file(program.logFile)
  folder.write(program.logFile, '')
  const said: string[] = []
  let child = launch(program, said)
  const log = (): string => readFileSync(file, 'utf8')
  const logged = (pattern: RegExp, after = 0): Promise<RegExpExecArray> =>
    waitForLog(file, () => pattern.exec(log().slice(after)), child, `${String(pattern)} was never logged`)
  const stop = async (): Promise<void> => {
    await killed(child)
    folder.remove()
  }
  const restart = async (): Promise<void> => {
    await killed(child)
    const after = log().length
    child = launch(program, said)
    await logged(ready, after)
  }
  try {
    await logged(ready)
  } catch (cause) {
    const heard = said.join('') + log()
    await stop()
    throw new Error(`${program.command} did not start:\n${heard}`, { cause })
  }
  return { log, logged, restart, stop }
}

function launch({ command, args, env = {}, folder }: ServerProgram, said: string[]): ChildProcess {
  const child = spawn(command, args, { cwd: folder.path, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  // As many as wait for a line of its log.
  child.setMaxListeners(0)
  // A run of specs that dies takes its servers with it.
  const takeAlong = (): void => void child.kill('SIGKILL')
  process.once('exit', takeAlong)
  child.once('exit', () => process.off('exit', takeAlong))
  for (const output of [child.stdout, child.stderr])
    output.on('data', chunk => {
      said.push(String(chunk))
      if (said.length > 1_000) said.shift()
    })
  return child
}

function waitForLog(file: string, look: () => RegExpExecArray | null, child: ChildProcess, sentence: string): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const logEnd = (): string => readFileSync(file, 'utf8').slice(-4000)
    const settle = (run: () => void): void => {
      clearTimeout(timer)
      watcher.close()
      child.off('exit', gone)
      run()
    }
    const check = (): void => {
      const found = look()
      if (found !== null)
        settle(() => {
          resolve(found)
        })
    }
    const fail = (why: string): void => {
      settle(() => {
        reject(new Error(`${sentence}: ${why}`))
      })
    }
    const gone = (): void => {
      fail(`it ended with ${child.exitCode ?? child.signalCode ?? 'nothing'}; the log ends:\n${logEnd()}`)
    }
    const watcher = watch(file, check)
    const timer = setTimeout(() => {
      fail(`not in ${LOG_DEADLINE} ms; the log ends:\n${logEnd()}`)
    }, LOG_DEADLINE)
    child.once('exit', gone)
    check()
  })
}

/** Its data is of no worth, so it is not asked to put them in order. */
function killed(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve()
      return
    }
    child.once('exit', () => {
      resolve()
    })
    child.kill('SIGKILL')
  })
}
