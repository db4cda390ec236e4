import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const index = fileURLToPath(new URL('../../src/index.js', import.meta.url))
const prlimit = (limit: string, ...args: string[]) =>
  spawnSync('prlimit', [`--as=${limit}`, process.execPath, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  })
const MiB = 1024 * 1024

/** Prints its size in MiB, then what becomes of a stack with so many queues. */
const program = (queues: number): string => `
  import { readFileSync } from 'node:fs'
  import { createVirtualLink, Stack } from ${JSON.stringify(index)}
  console.log(Math.ceil(Number(/^VmSize:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024))
  const [device] = createVirtualLink({ queues: ${queues} })
  await Stack.open({ device }).then(stack => stack.close(), error => console.log(error.name, error.code, error.message))`

const absent =
  prlimit('unlimited', '--version').status !== 0 && 'prlimit is missing (Debian: apt-get install util-linux)'

t.test('an address space that is too small is a sentence', { skip: absent }, async t => {
  const run = (limit: string, queues: number) => prlimit(limit, '--input-type=module', '-e', program(queues))
  const size = Number(run('unlimited', 1).stdout.split('\n')[0])
  t.ok(size > 100, `Node.js itself takes ${size} MiB`)
  for (const [more, queues, enough] of [
    [20, 1, false],
    [250, 1, false],
    [700, 1, true],
    [1_000, 8, false],
    [2_000, 8, false],
    [3_200, 8, true],
  ] as const) {
    const { status, stdout, stderr } = run(String((size + more) * MiB), queues)
    const what = `${queues} queue(s), ${more} MiB more than Node.js takes`
    t.equal(status, 0, `${what}: ${stderr}`)
    const [, said] = stdout.split('\n')
    if (enough) t.equal(said, '', what)
    else t.match(said, /^FakeTcpError ERR_FAKE_TCP_MEMORY .*: raise the limit, or take fewer `tun\.queues`/, what)
  }
})
