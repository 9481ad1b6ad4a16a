// Playwright with the system's Chromium, as a project's own tests use it.
const { chromium } = require(process.argv[2]);
(async () => {
  const browser = await chromium.launch({ executablePath: process.argv[3], args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    await page.goto(process.argv[4]);
    console.log(await page.textContent('body'));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exitCode = 1; });
