// What the two ways of joining share.
import { BASE, audit, expect, fits, looks, press, shot, tabTo, tabs, watched } from './browser.mjs'

export const minimal = ['profile', 'profile.name', 'profile.bio', 'profile.avatar', 'profile.banner', 'profile.links', 'posts', 'self_replies', 'replies', 'media', 'edits', 'quotes_of_consenting', 'polls']

// shows waits until the AppView shows the copy that my bridge names, or no longer shows it.
export async function shows(page, handle, there = true) {
  for (const until = Date.now() + 40000; Date.now() < until; await page.waitForTimeout(300)) {
    if (!handle) {
      await page.goto(BASE + '/me')
      const dd = page.locator('dt:has-text("Your copy") + dd')
      if (await dd.count()) handle = (await dd.innerText()).trim().replace(/^@/, '')
      continue
    }
    const r = await fetch(`${process.env.APPVIEW}/xrpc/app.bsky.actor.getProfile?actor=${handle}`)
    if (r.ok === there) return handle
  }
  expect(false, handle ? `the AppView ${there ? 'does not show' : 'still shows'} ${handle}` : 'my bridge names no copy')
  return handle
}

// verify checks a receipt on the page: as it is, and with a byte flipped at many places.
export async function verify(page, receipt) {
  const check = async (buffer) => {
    await page.goto(BASE + '/verify')
    await tabTo(page, '#file')
    await page.locator('#file').setInputFiles({ // the dialog in between is the browser's own
      name: 'receipt.json', mimeType: 'application/json', buffer })
    await press(page, 'form[action="/verify"] button')
    await page.locator('[role=status],[role=alert]').waitFor()
    return await page.locator('[role=status]').count() === 1
  }
  expect(await check(receipt), 'a good receipt is refused')
  for (let n = 1; n <= 8; n++) {
    const bad = Buffer.from(receipt), at = Math.floor(receipt.length * n / 9)
    bad[at] ^= 1
    expect(!await check(bad), 'a receipt passes with a byte flipped at', at, JSON.stringify(receipt.subarray(at - 30, at + 10).toString()))
  }
}

// signedInPages looks at the pages of somebody signed in as at the public ones.
export async function signedInPages(browser, from, who) {
  const paths = { me: '/me', agree: '/me/agree', try: '/me/try', leave: '/me/leave' }
  const storageState = await from.storageState()
  const each = async (options, lang, run) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', storageState, ...options })
    const page = await watched(context)
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(BASE + path + (lang ? '?lang=' + lang : ''))
      await run(page, name)
      const seen = await page.settled()
      expect(seen.bytes <= 30 * 1024, `${name} of ${who} weighs ${seen.bytes} bytes`)
    }
    await context.close()
  }
  for (const width of [320, 768, 1280]) {
    for (const colorScheme of ['light', 'dark']) await each({ viewport: { width, height: 800 }, colorScheme }, '', (page, name) => audit(page, `${name} ${width} px ${colorScheme}`))
  }
  for (const lang of ['es', 'pt', 'fr', 'ar', 'ja']) await each({ viewport: { width: 320, height: 700 } }, lang, (page, name) => audit(page, `${name} in ${lang}`))
  await each({ viewport: { width: 768, height: 800 }, forcedColors: 'active' }, '', (page, name) => audit(page, `${name} forced colours`))
  await each({ viewport: { width: 640, height: 400 } }, '', async (page, name) => {
    await page.evaluate(() => { document.documentElement.style.setProperty('font-size', '200%') })
    await fits(page, `${name} with text of 200 %`)
  })
  await each({ viewport: { width: 320, height: 800 } }, '', (page, name) => tabs(page, `${name} of ${who}`))
  if (!process.env.SCREENS || who !== 'dora') return
  for (const [look, { lang, ...options }] of Object.entries(looks)) await each(options, lang, (page, name) => shot(page, `${name}-${look}`))
}
