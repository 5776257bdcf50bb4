// The pages that everybody may see: every width, both colour schemes, forced colours, large text, six languages, no script.
import { BASE, audit, expect, finish, fits, launch, looks, shot, tabs, watched } from './browser.mjs'

const pages = { home: '/', join: '/join', privacy: '/privacy', transparency: '/transparency', verify: '/verify', leavelink: '/leave/nobody' }
const languages = ['en', 'es', 'pt', 'fr', 'ar', 'ja']
const maxBytes = 30 * 1024
const browser = await launch()
let looked = 0

async function each(options, run) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...options })
  const page = await watched(context)
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(BASE + path)
    await run(page, name, path)
    const seen = await page.settled()
    expect(seen.bytes <= maxBytes, `${name} weighs ${seen.bytes} bytes`)
    expect(seen.cookies === 0 && (await context.cookies()).length === 0, `${name} sets a cookie before anybody signed in`)
    looked++
  }
  await context.close()
}

// Widths and colours.
for (const width of [320, 768, 1280]) {
  for (const colorScheme of ['light', 'dark']) {
    await each({ viewport: { width, height: 800 }, colorScheme }, (page, name) => audit(page, `${name} ${width} px ${colorScheme}`))
  }
}
for (const colorScheme of ['light', 'dark']) {
  await each({ viewport: { width: 768, height: 800 }, colorScheme, forcedColors: 'active' }, async (page, name) => {
    await audit(page, `${name} forced colours, ${colorScheme}`)
    const bare = await page.evaluate(() => [...document.querySelectorAll('button,.button,input:not([type=hidden]):not([type=file])')].filter((e) => getComputedStyle(e).borderTopStyle === 'none').length)
    expect(bare === 0, `${name} with forced colours: ${bare} controls without an edge`)
  })
}

// 200 %: a window of 1280 px zoomed has 640; and text alone made twice as large (WCAG 1.4.4).
await each({ viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }, (page, name) => audit(page, `${name} zoomed to 200 %`))
await each({ viewport: { width: 640, height: 400 } }, async (page, name) => {
  await page.evaluate(() => { document.documentElement.style.setProperty('font-size', '200%') })
  await fits(page, `${name} with text of 200 %`)
})

// Languages: the texts, their direction, and that links keep the language.
for (const lang of languages) {
  await each({ viewport: { width: 320, height: 700 } }, async (page, name, path) => {
    await page.goto(`${BASE}${path}?lang=${lang}`)
    await page.settled()
    const html = page.locator('html')
    expect(await html.getAttribute('lang') === lang, `${name} in ${lang} says it is in`, await html.getAttribute('lang'))
    expect(await html.getAttribute('dir') === (lang === 'ar' ? 'rtl' : 'ltr'), `${name} in ${lang}: direction`)
    const lost = await page.locator(`nav a[href^="/"]:not([href*="lang=${lang}"])`).count()
    expect(lost === 0, `${name} in ${lang}: ${lost} links lose the language`)
    await audit(page, `${name} in ${lang}`)
  })
}

// The keyboard, phone and desktop; nothing is ticked for people (R6).
for (const width of [320, 1280]) {
  await each({ viewport: { width, height: 800 } }, async (page, name) => {
    await tabs(page, `${name} ${width} px`)
    expect(await page.locator('input:checked').count() === 0, `${name} has a box ticked`)
  })
}

// No script is sent, and none is needed: the same text with scripts off.
const texts = {}
await each({}, async (page, name) => {
  texts[name] = await page.locator('main').innerText()
  expect(await page.locator('script,style,[style],[onclick]').count() === 0, `${name} has something inline`)
})
await each({ javaScriptEnabled: false }, async (page, name) => {
  expect(await page.locator('main').innerText() === texts[name], `${name} is another with scripts off`)
  expect(texts[name].length > 50, `${name} says almost nothing`)
})

if (process.env.SCREENS) {
  for (const [look, { lang, ...options }] of Object.entries(looks)) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...options })
    const page = await context.newPage()
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(BASE + path + (lang ? '?lang=' + lang : ''))
      await shot(page, `${name}-${look}`)
    }
    await context.close()
  }
}
await finish(browser, `${looked} views of ${Object.keys(pages).length} pages`)
