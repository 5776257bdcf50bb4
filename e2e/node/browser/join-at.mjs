// Joining with an AT account at the reference PDS's own OAuth screen, then out again.
import { BASE, audit, expect, finish, launch, press, tabTo, watched } from './browser.mjs'
import { minimal } from './member.mjs'

const browser = await launch()
const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', viewport: { width: 390, height: 844 } })
const page = await watched(context, { hosts: ['bridge.test', 'pdsb.test'] })

await page.goto(BASE + '/join?from=bluesky')
await tabTo(page, '#at')
await page.keyboard.type('@olga.pdsb.test')
await page.keyboard.press('Enter')
await page.waitForURL('https://pdsb.test/oauth/authorize?*')
await page.locator('input[type=password]').waitFor()
await page.locator('input[type=password]').fill('correct horse')
await page.keyboard.press('Enter')
const allow = page.getByRole('button', { name: /authorize|accept|allow/i })
await allow.waitFor()
expect(/bridge\.test|end-to-end checks/.test(await page.locator('body').innerText()), 'the PDS does not say who asks')
await allow.focus()
await page.keyboard.press('Enter')
await page.waitForURL(BASE + '/me')
await audit(page, 'me of olga')

await press(page, 'main a[href="/me/agree"]')
await page.waitForURL(BASE + '/me/agree')
const ticked = await page.locator('input[name=scope]:checked').evaluateAll((all) => all.map((e) => e.value))
expect(ticked.sort().join() === [...minimal].sort().join(), 'ticked for people:', ticked.join(' '))
await press(page, 'main form .row button')
await page.waitForURL(BASE + '/me')
await page.locator('form[action="/me/pause"]').waitFor()

// Her copy answers in the fediverse, and no longer after she has left.
const actor = async () => {
  const finger = await fetch(`${BASE}/.well-known/webfinger?resource=acct:olga.pdsb.test@bridge.test`)
  if (!finger.ok) return finger.status
  const self = (await finger.json()).links.find((l) => l.rel === 'self')
  return (await fetch(self.href, { headers: { accept: 'application/activity+json' } })).status
}
const becomes = async (good, what) => {
  let last
  for (const until = Date.now() + 30000; Date.now() < until; await page.waitForTimeout(300)) if (good(last = await actor())) return
  expect(false, what, last)
}
await becomes((s) => s === 200, 'after joining her actor answers')
await page.goto(BASE + '/me/leave')
await press(page, 'form[action="/me/leave"] button')
await page.waitForURL(BASE + '/me')
await becomes((s) => s === 404 || s === 410, 'after leaving her actor answers')
await finish(browser, 'joined and left with an AT account')
