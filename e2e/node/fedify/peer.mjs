// An independent ActivityPub server for the end-to-end checks: Fedify, with one actor for each name in ACTORS.
//   ORIGIN=https://fedi-a.test PORT=8082 ACTORS=fred,nora FIRST_KNOCK=rfc9421 node peer.mjs
// Control API, on the same port, below /_/ :
//   GET  /_/log                      what arrived and was verified, in order
//   GET  /_/lookup?as=fred&q=..      resolve an acct or a URL with Fedify's own means
//   GET  /_/followers?as=fred
//   POST /_/send?as=fred             {recipients: ["followers" | actor id ...], activity: AS2}
//   POST /_/note                     AS2 note to serve under its id; DELETE /_/note?id=.. to serve it no more
import http from 'node:http'
import { Temporal } from '@js-temporal/polyfill'
import { createFederation, MemoryKvStore, InProcessMessageQueue, generateCryptoKeyPair } from '@fedify/fedify'
import { Person, Note, Follow, Accept, Undo, Like, Announce, Delete, Update, Create, Reject, Block, Endpoints, Activity, isActor } from '@fedify/fedify/vocab'

const ORIGIN = process.env.ORIGIN, PORT = +process.env.PORT, names = process.env.ACTORS.split(',')
const keys = new Map(), followers = new Map(), notes = new Map(), log = []
for (const n of names) {
  keys.set(n, [await generateCryptoKeyPair('RSASSA-PKCS1-v1_5'), await generateCryptoKeyPair('Ed25519')])
  followers.set(n, new Map())
}
const fed = createFederation({ kv: new MemoryKvStore(), queue: new InProcessMessageQueue(), origin: ORIGIN, allowPrivateAddress: true,
  ...(process.env.FIRST_KNOCK && { firstKnock: process.env.FIRST_KNOCK }),
  outboxRetryPolicy: ({ attempts }) => attempts < 40 ? Temporal.Duration.from({ milliseconds: Math.min(200 * 2 ** attempts, 2000) }) : null })

fed.setActorDispatcher('/users/{identifier}', async (ctx, id) => {
  if (!keys.has(id)) return null
  const pairs = await ctx.getActorKeyPairs(id)
  return new Person({ id: ctx.getActorUri(id), preferredUsername: id, name: id[0].toUpperCase() + id.slice(1) + ' of Fedify', summary: `<p>${id} speaking</p>`,
    inbox: ctx.getInboxUri(id), outbox: ctx.getOutboxUri(id), followers: ctx.getFollowersUri(id), endpoints: new Endpoints({ sharedInbox: ctx.getInboxUri() }),
    url: ctx.getActorUri(id), publicKey: pairs[0].cryptographicKey, assertionMethods: pairs.map((k) => k.multikey), manuallyApprovesFollowers: false,
    discoverable: true, indexable: true })
}).setKeyPairsDispatcher((_, id) => keys.get(id) ?? [])
fed.setOutboxDispatcher('/users/{identifier}/outbox', () => ({ items: [] }))
fed.setFollowersDispatcher('/users/{identifier}/followers', (_, id) => ({ items: [...(followers.get(id)?.values() ?? [])] }))
fed.setObjectDispatcher(Note, '/users/{identifier}/notes/{n}', (ctx, v) => notes.get(ctx.getObjectUri(Note, v).href) ?? null)

const record = async (_, a) => {
  const json = await a.toJsonLd().catch((e) => ({ error: String(e) }))
  log.push({ at: new Date().toISOString(), type: a.constructor.name, actor: a.actorId?.href, object: a.objectId?.href, json })
}
const inbox = fed.setInboxListeners('/users/{identifier}/inbox', '/inbox')
  .setSharedKeyDispatcher(() => ({ identifier: names[0] }))
  .on(Follow, async (ctx, f) => {
    await record(ctx, f)
    const p = ctx.parseUri(f.objectId)
    if (p?.type !== 'actor' || !keys.has(p.identifier)) return
    const who = await f.getActor(ctx)
    if (!who?.id || !who.inboxId) return
    followers.get(p.identifier).set(who.id.href, { id: who.id, inboxId: who.inboxId, endpoints: who.endpoints })
    await ctx.sendActivity({ identifier: p.identifier }, who, new Accept({ id: new URL(`#accepts/${Date.now()}`, ctx.getActorUri(p.identifier)), actor: f.objectId, object: f }))
  })
for (const T of [Undo, Accept, Reject, Create, Like, Announce, Delete, Update, Block]) inbox.on(T, record)
inbox.onError((_, e) => console.error('inbox error', e))

const loader = (ctx, as) => ctx.getDocumentLoader({ identifier: as ?? names[0] })
async function control(u, method, body) {
  const as = u.searchParams.get('as'), ctx = fed.createContext(new URL(ORIGIN), undefined)
  const look = async (s) => ctx.lookupObject(s, { documentLoader: await loader(ctx, as) })
  switch (method + ' ' + u.pathname) {
    case 'GET /_/log': return log
    case 'GET /_/followers': return [...followers.get(as).keys()]
    case 'GET /_/lookup': { const o = await look(u.searchParams.get('q')); return o ? o.toJsonLd() : null }
    case 'POST /_/note': { const n = await Note.fromJsonLd(JSON.parse(body)); notes.set(n.id.href, n); return { id: n.id.href } }
    case 'DELETE /_/note': return { removed: notes.delete(u.searchParams.get('id')) }
    case 'POST /_/send': {
      const { recipients, activity } = JSON.parse(body), a = await Activity.fromJsonLd(activity)
      for (const r of recipients) {
        const to = r === 'followers' ? 'followers' : await look(r)
        if (to !== 'followers' && !isActor(to)) throw new Error('not an actor: ' + r)
        await ctx.sendActivity({ identifier: as }, to, a, r === 'followers' ? { preferSharedInbox: true } : {})
      }
      return { sent: a.id?.href }
    }
  }
  return null
}

// One picture for posts, 8 by 6 pixels.
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAEUlEQVR4nGM4YWODFTEMpAQAr9U8AVonTcEAAAAASUVORK5CYII=', 'base64')
const request = (q, body) => new Request(new URL(q.url, ORIGIN), { method: q.method, headers: Object.entries(q.headers).flatMap(([k, v]) => Array.isArray(v) ? v.map((x) => [k, x]) : [[k, v]]), ...(body.length && { body }) })
http.createServer(async (q, r) => {
  const chunks = []
  for await (const c of q) chunks.push(c)
  const body = Buffer.concat(chunks)
  try {
    if (q.url.startsWith('/_/')) {
      const j = await control(new URL(q.url, ORIGIN), q.method, body.toString())
      r.setHeader('content-type', 'application/json')
      return r.end(JSON.stringify(j) + '\n')
    }
    if (q.url.startsWith('/media/')) { r.setHeader('content-type', 'image/png'); return r.end(png) }
    const res = await fed.fetch(request(q, body), { contextData: undefined, onNotFound: () => new Response('not found', { status: 404 }), onNotAcceptable: () => new Response('a page for people', { headers: { vary: 'Accept' } }) })
    console.error(q.method, q.url, res.status)
    r.writeHead(res.status, Object.fromEntries(res.headers)); r.end(Buffer.from(await res.arrayBuffer()))
  } catch (e) { console.error(e); r.statusCode = 500; r.end(JSON.stringify({ error: String(e?.stack ?? e) }) + '\n') }
}).listen(PORT, '127.0.0.1', () => console.log(`READY ${ORIGIN}`))
