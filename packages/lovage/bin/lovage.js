#!/usr/bin/env node
// The first file that runs, so it is written in syntax that any Node reads: somebody on an old one
// gets a sentence that helps, not a syntax error or a missing `node:sqlite`.
var found = process.versions.node
var parts = found.split('.')
var isSupported = Number(parts[0]) > 22 || (Number(parts[0]) === 22 && Number(parts[1]) >= 23)

if (isSupported) {
  hideKnownWarnings()
  import('node:module')
    .then(keepCompiled)
    .then(loadMain)
    .catch(function (error) {
      console.error(error)
      process.exitCode = 70
    })
} else {
  console.error('Lovage needs Node 22.23 or newer; this is Node ' + found + ' (' + process.execPath + ').')
  console.error('Install Node 24 LTS from https://nodejs.org, or with your version manager: nvm install 24')
  process.exitCode = 78
}

/**
 * Keeps compiled code on disk, by content: most of a start is compiling what was compiled before. The threads
 * take it from the environment. NODE_DISABLE_COMPILE_CACHE turns it off.
 */
function keepCompiled(module) {
  var cache = module.enableCompileCache && module.enableCompileCache()
  if (cache && cache.directory && !process.env.NODE_COMPILE_CACHE) process.env.NODE_COMPILE_CACHE = cache.directory
  return import('node:fs')
}

/** The sources win where they exist: that is the repository, and they are what is being worked on. */
function loadMain(fs) {
  var source = new URL('../src/cli/main.ts', import.meta.url)
  return import(fs.existsSync(source) ? source : new URL('../dist/cli/main.js', import.meta.url))
}

/**
 * Hides what Node says about itself and the user cannot change: `node:sqlite` is experimental in
 * Node 22, and a tasks file in a project without `"type": "module"` is guessed to be a module.
 * Done here and not by a flag in the first line, because that would not survive `node bin/lovage.js`
 * or Windows, and a child process with the flag would double the start-up time.
 */
function hideKnownWarnings() {
  var listeners = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', function (warning) {
    if (warning.name === 'ExperimentalWarning' || warning.code === 'MODULE_TYPELESS_PACKAGE_JSON') return
    listeners.forEach(function (listener) {
      listener.call(process, warning)
    })
  })
}
