/** A small disk in memory: filled by a ballast file, freed by removing it. */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Volume } from './driver.ts'

interface MountedVolume extends Volume {
  unmount(): void
}

/** Undefined where that cannot be done: it takes root and Linux. */
export function mountVolume(folder: string, megabytes: number): MountedVolume | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  mkdirSync(folder, { recursive: true })
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]).status !== 0) return undefined
  const ballast = join(folder, 'ballast')
  // also when the harness ends in an unforeseen way: a mount would outlive it
  const unmount = (): void => void spawnSync('umount', ['-l', folder])
  process.once('exit', unmount)
  return {
    fill: () => fill(ballast),
    free: () => rmSync(ballast, { force: true }),
    unmount() {
      process.off('exit', unmount)
      unmount()
    },
  }
}

/** To the last byte: big pieces first, then small ones. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (const bytes of [1 << 20, 4096]) writeUntilFull(file, Buffer.alloc(bytes))
  } finally {
    closeSync(file)
  }
}

function writeUntilFull(file: number, piece: Buffer): void {
  try {
    for (;;) writeSync(file, piece)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
