/** What every command begins with: the environment's files, the app, its configuration. */
import { internals, type AppInternals } from '../app/internals.ts'
import { registerProjectHooks } from '../app/loading/hooks.ts'
import { importApp } from '../app/loading/import-app.ts'
import { Lovage, type AnyLovage } from '../app/lovage.ts'
import { variableName, type SettingName } from '../app/settings.ts'
import { projectRoot } from '../drivers/project-root.ts'
import { readEnvFiles, type EnvFiles } from './env.ts'
import { findApp, noAppFound, type AppLocation } from './find-app.ts'

/** The options that every command takes, as commander gives them. */
export interface GlobalOptions {
  readonly app?: string
  readonly broker?: string
  readonly resultBackend?: string
  readonly envFile?: readonly string[]
  readonly debug?: boolean
}

export interface Session {
  readonly app: AnyLovage
  readonly internals: AppInternals
  /** Undefined: no file was given or found, and none was needed. */
  readonly source: (AppLocation & { readonly exportName: string }) | undefined
  readonly envFiles: EnvFiles
}

export interface SessionNeeds {
  /** Without a file with an app there is nothing to do. */
  readonly appFile: boolean
  /** More settings from flags. */
  readonly flags?: Readonly<Partial<Record<SettingName, unknown>>>
}

/**
 * Reads the files of the environment, loads the app and configures it. Opens nothing.
 * @throws {AppLoadError | ConfigurationError}
 */
export async function openSession(options: GlobalOptions, needs: SessionNeeds): Promise<Session> {
  const cwd = process.cwd()
  const location = locationOf(options, needs, cwd)
  const roots = [projectRoot(cwd), cwd, location?.projectRoot].filter(root => root !== undefined)
  const envFiles = readEnvFiles(roots, options.envFile ?? [], process.env)
  const flags = { ...urlFlags(options), ...needs.flags }
  exportFlags(flags)
  const loaded = location === undefined ? undefined : await load(location)
  const app = loaded?.app ?? new Lovage('lovage')
  const inside = internals(app)
  inside.configure({ flags, envFiles: envFiles.sources })
  const source =
    loaded === undefined || location === undefined ? undefined : { ...location, exportName: loaded.exportName }
  return { app, internals: inside, source, envFiles }
}

/** With `--broker` a command that needs no tasks needs no file either, unless it is told one. */
function locationOf(options: GlobalOptions, needs: SessionNeeds, cwd: string): AppLocation | undefined {
  if (!needs.appFile && options.app === undefined && options.broker !== undefined) return undefined
  const location = findApp(options.app, cwd)
  if (location === undefined && needs.appFile) throw noAppFound(cwd)
  return location
}

async function load(location: AppLocation): ReturnType<typeof importApp> {
  registerProjectHooks(location.projectRoot)
  return await importApp(location.file, location.exportName)
}

function urlFlags({ broker, resultBackend }: GlobalOptions): Partial<Record<SettingName, unknown>> {
  return {
    ...(broker === undefined ? {} : { brokerUrl: broker }),
    ...(resultBackend === undefined ? {} : { resultBackend }),
  }
}

/** The thread that runs tasks loads the app again, and tasks send tasks: what flags say must hold there too. */
function exportFlags(flags: Readonly<Partial<Record<SettingName, unknown>>>): void {
  for (const name of ['brokerUrl', 'resultBackend'] as const) {
    const value = flags[name]
    if (typeof value === 'string') process.env[variableName(name)] = value
  }
}
