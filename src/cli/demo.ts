import type { Command } from 'commander'
import { wholeNumber } from './values.js'

interface DemoFlags {
  size: number
  file?: string
  /** Path of the capture; false with --no-capture. */
  capture: string | false
}

const maxMB = 16_384

/** The command `fake-tcp demo`; `runDemo` determines its exit code. */
export const addDemo = (program: Command): void => {
  program
    .command('demo')
    .description('send a file through a tunnel between two private network namespaces, and show how that went')
    .option('--size <MB>', 'size of the file that is made, in 10⁶ bytes', wholeNumber({ min: 1, max: maxMB }), 64)
    .option('--file <PATH>', 'send this file instead')
    .option('--capture <PATH>', 'where the packet capture goes', 'fake-tcp-demo.pcap')
    .option('--no-capture', 'make no packet capture')
    .action(async ({ size, file, capture }: DemoFlags) => {
      // Imported here, since the other commands do not need it.
      const { runDemo } = await import('../demo/demo.js')
      process.exitCode = await runDemo({
        bytes: size * 1_000_000,
        ...(file !== undefined && { file }),
        ...(capture !== false && { capture }),
      })
    })
}
