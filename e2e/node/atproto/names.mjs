// The names in this namespace end in .test, which the reference PDS refuses for OAuth clients. This one comparison is taken
// out of it; everything else of its OAuth stays as published.
import { registerHooks } from 'node:module'

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!url.endsWith('/@atproto/oauth-types/dist/util.js')) return loaded
    const source = String(loaded.source), patched = source.replace("tld === 'test' ||", '')
    if (patched === source) throw new Error('the PDS no longer compares names as it did')
    return { ...loaded, source: patched }
  },
})
