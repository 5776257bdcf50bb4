// Joining with a fediverse account by keyboard alone and with scripts off: sign in, choose, narrow, take the papers along,
// check the receipt, pause, resume, erase. Then the same pages as everybody sees theirs: widths, colours, directions.
//   APPVIEW=http://localhost:2584 node join.mjs
import fs from 'node:fs'
import { BASE, expect, finish, launch, press, tabTo, watched } from './browser.mjs'
import { minimal, signedInPages, shows, verify } from './member.mjs'

const browser = await launch()
const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false, locale: 'en-GB', viewport: { width: 360, height: 740 } })
const page = await watched(context, { hosts: ['bridge.test', 'masto.test'] })
const main = () => page.locator('main').innerText()

// An address that leads nowhere: a page that says so.
await page.goto(BASE + '/join')
await tabTo(page, '#fedi')
await page.keyboard.type('@nobody@nowhere.test')
await page.keyboard.press('Enter')
await page.waitForURL(BASE + '/signin/fediverse')
expect(/server/i.test(await main()), 'after a wrong address the page says:', await main())
expect((await context.cookies()).length === 0, 'a cookie before anybody signed in')

// Signing in at the own server.
await page.goto(BASE + '/join')
await tabTo(page, '#fedi')
await page.keyboard.type('@dora@masto.test')
await page.keyboard.press('Enter')
await page.waitForURL('https://masto.test/oauth/authorize?*')
await tabTo(page, 'input[name=username]')
await page.keyboard.type('dora')
await tabTo(page, 'input[name=password]')
await page.keyboard.type('a long pass phrase')
await press(page, '#allow')
await page.waitForURL(BASE + '/me')
expect((await main()).includes('dora@masto.test'), 'my bridge does not say who signed in')
const cookies = await context.cookies(BASE)
expect(cookies.length === 1 && cookies[0].sameSite === 'Strict' && cookies[0].httpOnly && cookies[0].secure, 'the cookies are', JSON.stringify(cookies.map(({ value, ...c }) => c)))
expect((await context.request.post(BASE + '/me/leave', { form: {} })).status() === 403, 'a form without its token is taken')

// Choosing: the preset is ticked and nothing else; yes and no look alike (R6).
await press(page, 'main a[href="/me/agree"]')
await page.waitForURL(BASE + '/me/agree')
const ticked = await page.locator('input[name=scope]:checked').evaluateAll((all) => all.map((e) => e.value))
expect(ticked.sort().join() === [...minimal].sort().join(), 'ticked for people:', ticked.join(' '))
expect(await page.locator('input[type=radio]:checked').count() === 0, 'a choice made for people')
const weight = (e) => { const s = getComputedStyle(e), r = e.getBoundingClientRect(); return [s.fontSize, s.fontWeight, s.color, s.backgroundColor, s.borderTopWidth, s.borderTopColor, Math.round(r.height)].join() }
const [yes, no] = [await page.locator('main form .row button').evaluate(weight), await page.locator('main form .row a').evaluate(weight)]
expect(yes === no, 'yes and no do not weigh the same:', yes, 'and', no)
await press(page, 'input[value=likes]', 'Space')
await press(page, 'main form .row button')
await page.waitForURL(BASE + '/me')
expect(/your likes/.test(await main()), 'after joining my bridge says:', await main())
const handle = await shows(page)

// Narrowing.
for (const scope of ['likes', 'replies']) {
  await press(page, 'main a[href="/me/agree"]')
  await page.waitForURL(BASE + '/me/agree')
  await press(page, `input[value=${scope}]`, 'Space')
  await press(page, 'main form .row button')
  await page.waitForURL(BASE + '/me')
}
const narrowed = await page.locator('dt:has-text("What you share") + dd').innerText()
expect(!/likes|replies to people/.test(narrowed) && /your own new public posts/.test(narrowed), 'after narrowing the share is', narrowed)

// Papers.
async function download(name) {
  const coming = page.waitForEvent('download')
  await press(page, `a[href="/me/${name}"]`)
  return fs.readFileSync(await (await coming).path())
}
const receipt = await download('receipt.json'), all = await download('export.json')
const exported = JSON.parse(all)
expect(all.includes('masto.test/users/dora') && Object.keys(exported).length > 2, 'the export holds', all.toString().slice(0, 200))
await verify(page, receipt)

// The same pages with scripts on, for axe and for pictures.
await signedInPages(browser, context, 'dora')

// Pause, resume, leave.
await page.goto(BASE + '/me')
await press(page, 'form[action="/me/pause"] button')
await page.locator('form[action="/me/resume"]').waitFor()
await shows(page, handle, false)
await press(page, 'form[action="/me/resume"] button')
await page.locator('form[action="/me/pause"]').waitFor()
await shows(page, handle)
await press(page, 'a[href="/me/leave"]')
await page.waitForURL(BASE + '/me/leave')
await press(page, 'form[action="/me/leave"] button')
await page.waitForURL(BASE + '/me')
expect(await page.locator('form[action="/me/pause"],form[action="/me/resume"]').count() === 0, 'after leaving my bridge says:', await main())
await shows(page, handle, false)
await press(page, 'form[action="/me/signout"] button')
await page.waitForURL(BASE + '/')
expect((await context.cookies(BASE)).length === 0, 'signed out, and a cookie stays')
await page.goto(BASE + '/me')
expect(page.url() === BASE + '/join', 'without a session /me leads to', page.url())
await finish(browser, 'joined, narrowed, exported and erased by keyboard alone')
