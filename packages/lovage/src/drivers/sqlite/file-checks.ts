/** What must hold before a file is trusted with tasks: a sound library, and a file system on which SQLite's locks work. */
import { readFileSync, statfsSync, statSync } from 'node:fs'
import { StorageError } from '../../core/errors.ts'
import { storageError } from './storage-errors.ts'

/**
 * SQLite 3.7.0 to 3.51.2 can lose commits or corrupt the file when two connections write and checkpoint together
 * (the WAL-reset race); 3.44.6 and 3.50.7 have the repair as well.
 */
export function isSoundLibrary(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (major !== 3) return major > 3
  if (minor === 44) return patch >= 6
  if (minor === 50) return patch >= 7
  return minor > 51 || (minor === 51 && patch >= 3)
}

export function assertSoundLibrary(path: string, version: string): void {
  if (isSoundLibrary(version)) return
  throw new StorageError(
    `${path} cannot be used safely: the SQLite ${version} in Node ${process.versions.node} can lose commits when several processes use one file. ` +
      'Update Node to 22.23, 24.21 or newer.',
    { reason: 'unsound-library', details: { path, version } },
  )
}

/** Linux's names of file systems on which locks or shared memory do not reach everybody who mounts them. */
const sharedTypes: ReadonlySet<string> = new Set([
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  'smbfs',
  '9p',
  'afs',
  'ceph',
  'lustre',
  'gpfs',
  'beegfs',
  'glusterfs',
  'ocfs2',
  'gfs2',
  'vboxsf',
  'prl_fs',
  'vmhgfs',
  'drvfs',
  'virtiofs',
  'fakeowner',
  'fuse.sshfs',
  'fuse.vmhgfs-fuse',
  'fuse.grpcfuse',
  'fuse.osxfs',
  'fuse.rclone',
  'fuse.s3fs',
  'fuse.gcsfuse',
  'fuse.ceph',
  'fuse.glusterfs',
  'fuse.juicefs',
  'fuse.davfs',
])

/** The same by the number `statfs` gives, for where /proc/self/mountinfo is missing. */
const sharedMagic: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x786f4256, 0x00c36400, 0x5346414f,
])

/** @throws {StorageError} with reason `network`. `folder` exists. */
export function assertLocalFolder(path: string, folder: string): void {
  const type = sharedFileSystem(folder)
  if (type === undefined) return
  const { message } = storageError(path, 'network')
  throw new StorageError(`${message} (It is ${type}.)`, { reason: 'network', details: { path, type } })
}

function sharedFileSystem(folder: string): string | undefined {
  const mounts = mountInfo()
  if (mounts !== undefined) return sharedMount(mounts, folder)
  const { type } = statfsSync(folder)
  return sharedMagic.has(type) ? `of type 0x${type.toString(16)}` : undefined
}

function mountInfo(): string | undefined {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return undefined
  }
}

/** The type of the shared file system that holds `folder`, undefined for a local one. */
export function sharedMount(mountInfo: string, folder: string): string | undefined {
  let best = { point: '', type: '' }
  for (const line of mountInfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const point = unescapeOctal(before.split(' ')[4] ?? '')
    // A later mount on the same point hides the earlier one.
    if (point !== '' && holds(point, folder) && point.length >= best.point.length)
      best = { point, type: after.split(' ')[0] ?? '' }
  }
  return sharedTypes.has(best.type) ? best.type : undefined
}

function holds(point: string, folder: string): boolean {
  return point === '/' || folder === point || folder.startsWith(`${point}/`)
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)))
}

/** Which file a path leads to now; undefined: to none. */
export function fileIdentity(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}
