// What the browser checks share: starting Debian's Chromium, counting what is wrong, axe, the keyboard, and screenshots.
//   BASE=https://bridge.test [SCREENS=folder] node pages.mjs
// A check prints one line for each thing that is wrong and ends with status 1 if there is any.
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

export const BASE = process.env.BASE ?? 'https://bridge.test'
export const R95 = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const wrong = []
export function expect(ok, ...what) {
  if (!ok) wrong.push(what.join(' '))
  return ok
}

// The program itself, not Debian's wrapper, which wants files below /etc.
export const launch = () => chromium.launch({ executablePath: '/usr/lib/chromium/chromium', headless: true, timeout: 60000,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })

// finish says how it went and ends the program.
export async function finish(browser, said) {
  await browser.close()
  for (const w of new Set(wrong)) console.log('wrong:', w)
  console.log(said)
  process.exit(wrong.length ? 1 : 0)
}

// watched opens a page whose every request is looked at: same host, the policy of R95, no refusal in the console. It has a
// `seen` with the bytes and the Set-Cookie headers since it was last emptied.
export async function watched(context, { hosts = [new URL(BASE).host] } = {}) {
  const page = await context.newPage()
  page.seen = { bytes: 0, cookies: 0, pending: [] }
  page.on('request', (r) => expect(hosts.includes(new URL(r.url()).host) || r.url().startsWith('data:'), 'a request to another host:', r.url(), 'from', page.url()))
  page.on('console', (m) => { if (/Content Security Policy|Refused to/.test(m.text())) expect(false, 'the policy was broken at', page.url() + ':', m.text()) })
  page.on('response', (r) => page.seen.pending.push((async () => {
    const h = await r.allHeaders()
    if (new URL(r.url()).host !== new URL(BASE).host) return
    if (h['set-cookie']) page.seen.cookies++
    if (/text\/html/.test(h['content-type'] ?? '')) expect(h['content-security-policy'] === R95, 'the policy of', r.url(), 'is', h['content-security-policy'])
    if (r.status() < 300 || r.status() >= 400) page.seen.bytes += (await r.body().catch(() => Buffer.alloc(0))).length
  })()))
  page.settled = async () => { const s = page.seen; await Promise.all(s.pending); page.seen = { bytes: 0, cookies: 0, pending: [] }; return s }
  return page
}

// audit runs axe with everything that WCAG 2.2 AA asks for, and its own good practice. It is evaluated, not added to the
// page, so that the page's policy stays in force.
export async function audit(page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  for (const v of found.violations) expect(false, `axe at ${where}: ${v.id} (${v.impact}):`, v.nodes.map((n) => n.html.slice(0, 120)).join(' | '))
  expect(found.passes.length > 10, `axe at ${where} looked at too little: ${found.passes.length}`)
  await fits(page, where)
}

// fits: nothing is wider than the window (WCAG 1.4.10).
export async function fits(page, where) {
  const [is, may] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
  expect(is <= may, `sideways scrolling at ${where}: ${is} in ${may} px`)
}

// tabs goes through the whole page by keyboard: everything that can be used is reached, in the order of reading, and shows
// that it has the focus (WCAG 2.1.1, 2.4.3, 2.4.7, 2.4.11).
export async function tabs(page, where) {
  const want = await page.evaluate(() => {
    const all = [...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary,[tabindex="0"]')].filter((e) => e.checkVisibility())
    all.forEach((e, i) => { e.dataset.n = i })
    return all.map((e) => e.outerHTML.slice(0, 80))
  })
  for (let n = 0; n < want.length; n++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(() => {
      const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect()
      return { n: +(e.dataset?.n ?? -1), ring: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2, inside: r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth }
    })
    if (!expect(at.n === n, `the Tab key at ${where}: instead of ${want[n]} came`, want[at.n] ?? 'nothing')) return
    expect(at.ring, `no visible focus at ${where} on`, want[n])
    expect(at.inside, `out of sight at ${where} with the focus on`, want[n])
  }
}

// tabTo goes to an element by keyboard alone.
export async function tabTo(page, selector) {
  for (let n = 0; n < 150; n++) {
    await page.keyboard.press('Tab')
    if (await page.locator(`${selector}:focus`).count()) return
  }
  throw new Error(`the Tab key never reaches ${selector} at ${page.url()}`)
}

// press goes to an element and uses it.
export async function press(page, selector, key = 'Enter') {
  await tabTo(page, selector)
  await page.keyboard.press(key)
}

// shot writes a picture of the page if pictures are wanted.
export async function shot(page, name) {
  if (!process.env.SCREENS || name.startsWith('leavelink') || /^(privacy|verify|leave|try)-(desktop|phone-dark)$/.test(name)) return // those say nothing new
  const { width, height } = await page.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight }))
  await page.screenshot({ path: path.join(process.env.SCREENS, name + '.png'), fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, 1700) } })
}

export const looks = {
  'phone-light': { viewport: { width: 360, height: 740 }, colorScheme: 'light' },
  'phone-dark': { viewport: { width: 360, height: 740 }, colorScheme: 'dark' },
  'phone-arabic': { viewport: { width: 360, height: 740 }, colorScheme: 'light', lang: 'ar' },
  'desktop': { viewport: { width: 1100, height: 800 }, colorScheme: 'light' },
}
